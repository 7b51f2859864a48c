"""What a kind of weather is: what befalls a piece of bytes, an open connection, or the store itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from harness.records.weather import WeatherRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes on their way.

    Attributes:
        reply: whether they come from the one that is called.
        size: how many.
        draw: of this piece alone: the same piece draws the same in every run.
    """

    reply: bool
    size: int
    draw: random.Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a piece.

    Attributes:
        after_s: it passes so much later.
        then: `pass`; `hold` it until the weather is over; `swallow` it, and all that follows on its
            connection; `reset` the connection in its place.
    """

    after_s: float = 0.0
    then: Literal["pass", "hold", "swallow", "reset"] = "pass"


PASSES = Fate()


class StoreServer(Protocol):
    """The store itself, where the weather is its own."""

    def tell(self, *words: str) -> None:
        """Give it a command of an operator."""
        ...

    def figure(self, section: str, name: str) -> float | None:
        """Return a figure that it tells of itself, None where it tells none."""
        ...

    def kill(self) -> None:
        """End its primary, as a power cut does."""
        ...

    def promote(self) -> None:
        """Make the replica the primary, and let the address lead there."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherKind:
    """One kind of weather.

    Attributes:
        fate: of a piece that is on its way while the weather lasts.
        at_begin: what befalls connections that are open then: `nothing`; they are `reset`; or they go `mute`:
            they stay open, and never again does anything pass.
        at_end: likewise of those that are open when it is over.
        silent: whether connections that are made while it lasts are mute from the first byte on.
        blocks: whether nothing can be kept in the store while it lasts, by the container that it befalls.
        begin, end: what is done to the store itself.
    """

    fate: Callable[[WeatherRule, Piece], Fate] = lambda _rule, _piece: PASSES
    at_begin: Literal["nothing", "reset", "mute"] = "nothing"
    at_end: Literal["nothing", "reset"] = "nothing"
    silent: bool = False
    blocks: bool = False
    begin: Callable[[WeatherRule, StoreServer], None] | None = None
    end: Callable[[WeatherRule, StoreServer], None] | None = None
