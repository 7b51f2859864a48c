"""How the one arrival plan is split over the drivers of all worker processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.records.sent import Arrival


@dataclass(frozen=True, slots=True)
class Share:
    """Every `of`-th arrival of the plan, beginning with the `first`-th, from 0.

    All drivers walk the same plan and each sends its own share, so together they send
    exactly what one driver would.
    """

    first: int
    of: int

    def take(self, plan: Iterable[Arrival]) -> Iterator[Arrival]:
        """Yield the arrivals of this share."""
        return (arrival for arrival in plan if arrival.index % self.of == self.first)


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
