"""Who may begin: a slot of the busy signal, or a refusal at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from reference_agent.patterns.busy_signal import BusySignal, Slot


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may begin, and how long it waited inside the container for that."""

    slot: Slot
    wait_s: float = 0.0


class Admission(Protocol):
    """Decides on each request before anything of it is read."""

    async def enter(self) -> Admitted | None:
        """Return a slot, or None to refuse."""
        ...


class RefuseAtLimit:
    """At the limit, refuse at once: another container may be idle."""

    def __init__(self, busy: BusySignal) -> None:
        self._busy = busy

    async def enter(self) -> Admitted | None:
        """Return a slot, or None when there is none; never waits."""
        slot = self._busy.try_acquire()
        return Admitted(slot) if slot is not None else None
