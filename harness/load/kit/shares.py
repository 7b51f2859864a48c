"""How the one arrival plan is split over the drivers of all worker processes."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from harness.records.sent import Arrival


@dataclass(frozen=True, slots=True)
class Share:
    """Every `of`-th arrival of the plan, beginning with the `first`-th, from 0.

    All drivers walk the same plan and each sends its own share, so together they send
    exactly what one driver would.
    """

    first: int
    of: int

    def __str__(self) -> str:
        """Name it."""
        return f"share {self.first + 1} of {self.of}"

    def take(self, plan: Iterable[Arrival], *, by_session: bool = False) -> Iterator[Arrival]:
        """Yield the arrivals of this share.

        Args:
            plan: all of it.
            by_session: whether a conversation is one driver's alone, who can wait for each of its answers.
        """
        return (arrival for arrival in plan if _number(arrival, by_session) % self.of == self.first)


def _number(arrival: Arrival, by_session: bool) -> int:  # noqa: FBT001 - of this module alone
    return zlib.crc32(arrival.session_id.encode()) if by_session else arrival.index


class ShareState(StrEnum):
    """What became of a share so far."""

    WAITING = "was never driven: its user was still in on_start, or died there"
    BEGUN = "was not sent to its end"
    SENT = "was sent to its end"
    BROKEN = "broke off with an error"


class Ledger:
    """What became of the shares that one process was assigned."""

    def __init__(self) -> None:
        """Begin with none."""
        self._shares: Mapping[str, tuple[Share, ...]] = {}
        self._states: dict[str, list[ShareState]] = {}
        self._open = True

    def assign(self, shares: Mapping[str, tuple[Share, ...]]) -> None:
        """Take the shares: per scenario, those of the drivers in this process."""
        self._shares = shares
        self._states = {name: [ShareState.WAITING] * len(its) for name, its in shares.items()}

    def take(self, scenario: str) -> int | None:
        """Give a driver the number of a share that nobody has; None when there is none, or no more time."""
        states = self._states.get(scenario, [])
        if not self._open or ShareState.WAITING not in states:
            return None
        number = states.index(ShareState.WAITING)
        states[number] = ShareState.BEGUN
        return number

    def share(self, scenario: str, number: int) -> Share:
        """Return a share that was assigned."""
        return self._shares[scenario][number]

    def set_state(self, scenario: str, number: int, state: ShareState) -> None:
        """Keep what became of a share that was taken."""
        self._states[scenario][number] = state

    def close(self) -> None:
        """Give no share to a driver that comes now."""
        self._open = False

    def states(self) -> dict[str, list[ShareState]]:
        """Return what became of each share, in the order they were assigned in."""
        return {name: list(states) for name, states in self._states.items()}


def assign(drivers: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, tuple[Share, ...]]]:
    """Give every driver its share.

    Args:
        drivers: per worker and scenario, how many drivers run there.

    Returns:
        Per worker and scenario, the shares of the drivers there; those of one scenario
        over all workers make up its whole plan, each arrival once.
    """
    total: dict[str, int] = {}
    for counts in drivers.values():
        for scenario, count in counts.items():
            total[scenario] = total.get(scenario, 0) + count
    given = dict.fromkeys(total, 0)
    shares: dict[str, dict[str, tuple[Share, ...]]] = {}
    for worker in sorted(drivers):
        shares[worker] = {}
        for scenario, count in drivers[worker].items():
            first = given[scenario]
            shares[worker][scenario] = tuple(Share(first=first + k, of=total[scenario]) for k in range(count))
            given[scenario] += count
    return shares
