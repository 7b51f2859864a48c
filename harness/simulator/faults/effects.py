"""What a fault can do to a call, as plain records; each protocol knows how to play them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.records import FaultClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """An error answer instead of one.

    Attributes:
        status: of HTTP.
        code, type: of the provider's error body.
        message: likewise; made up, and of no meaning.
    """

    status: int
    code: str | None
    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset before the first byte."""


Effect = Refuse | Reset


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault.

    Attributes:
        kind: its name.
        fault_class: whether a retry is right.
        effects: per protocol; what isn't named has `effect`.
        effect: what it does.
    """

    kind: str
    fault_class: FaultClass
    effect: Effect
    effects: Mapping[str, Effect] = field(default_factory=dict)

    def on(self, protocol: str) -> Effect:
        """Return what it does on the wire of `protocol`."""
        return self.effects.get(protocol, self.effect)
