"""What is computed of what was measured: ratios round by round, who is behind, and the truth of a stall."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

T = TypeVar("T")
Rounds = tuple[float, ...]
"""A figure a round."""
Figures = Rounds | str
"""These, or why there are none."""
CLEARLY = 0.02
"""Of what should be 1: so much further off than a peer is behind it."""


class NotMeasuredError(Exception):
    """A tool did not do the work, or can't be had: the message says why, and its row says that."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles over the rounds."""

    low: float
    mid: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that was measured, of ours and of peers.

    Attributes:
        part: what it is a figure of: `load`, `simulator`, ...
        what: that was measured.
        unit: of the figures.
        ours: a figure a round, or why there is none.
        peers: the same by the name of each peer.
        true_is_one: whether 1 is right, and not the least best.
    """

    part: str
    what: str
    unit: str
    ours: Figures
    peers: Mapping[str, Figures] = field(default_factory=dict)
    true_is_one: bool = False

    def behind(self) -> list[str]:
        """Return the peers that do better than ours, the best of them first."""
        ratios = {name: self.ratio(name) for name in self.peers}
        better = {name: ratio for name, ratio in ratios.items() if ratio and self._is_behind(name, ratio)}
        return sorted(better, key=lambda name: -self._lost(name, better[name]))

    def ratio(self, peer: str) -> Spread | None:
        """Return ours in terms of a peer's, made in each round; None where one of them has no figure."""
        theirs = self.peers[peer]
        if isinstance(self.ours, str) or isinstance(theirs, str) or min(theirs) <= 0:
            return None
        return spread([one / other for one, other in zip(self.ours, theirs, strict=True)])

    def worst(self) -> float:
        """Return how far ours is behind the best peer: 1 for not at all."""
        return max(
            (self._lost(name, ratio) for name in self.behind() if (ratio := self.ratio(name))), default=1
        )

    def _is_behind(self, peer: str, ratio: Spread) -> bool:
        """Say no where the quartiles have 1 in them: that is as good."""
        return self._lost(peer, ratio) > 1 + CLEARLY if self.true_is_one else ratio.low > 1

    def _lost(self, peer: str, ratio: Spread) -> float:
        if not self.true_is_one:
            return ratio.mid
        ours, theirs = spread(self.ours), spread(self.peers[peer])
        return 1 + abs(ours.mid - 1) - abs(theirs.mid - 1)


def spread(values: Figures) -> Spread:
    """Return median and quartiles of figures that are there."""
    if isinstance(values, str):
        raise TypeError(f"no figures: {values}")
    low, mid, high = np.quantile(values, [0.25, 0.5, 0.75])
    return Spread(float(low), float(mid), float(high))


def slower_first(rows: Sequence[Row]) -> list[Row]:
    """Return the rows in which ours is behind a peer, the worst first, and then the others as they come."""
    return sorted(rows, key=lambda row: -row.worst())


def stalled_p99_ms(due_s: Sequence[float], at_s: float, for_s: float) -> float:
    """Return the p99, in ms, of what requests wait that are sent when they are due.

    Args:
        due_s: when each is due, in seconds from any instant.
        at_s: how long after the first the server stops to answer.
        for_s: for how long. It answers at once else.
    """
    due = np.asarray(due_s) - min(due_s)
    waits_s = np.where((due >= at_s) & (due < at_s + for_s), at_s + for_s - due, 0.0)
    return float(np.quantile(waits_s, 0.99) * 1000)


def late_p99_ms(came_s: Sequence[float], due_s: Sequence[float]) -> float:
    """Return how late requests came at the server, p99 in ms, against the one that came the earliest.

    The plan's begin is known to the tool alone: so what all are late by alike is not seen.

    Args:
        came_s: when each came, in seconds.
        due_s: when each was due, from another instant on.
    """
    count = min(len(came_s), len(due_s))
    late_s = np.sort(came_s)[:count] - np.sort(due_s)[:count]
    return float(np.quantile(late_s - late_s.min(), 0.99) * 1000)


def even(rate_rps: float, count: int) -> list[float]:
    """Return when evenly spaced requests are due, in seconds from the first."""
    return [number / rate_rps for number in range(count)]


def turn_about(
    ways: Mapping[str, Callable[[], T]], rounds: int, draw: random.Random, *, warm_up: bool = False
) -> dict[str, list[T] | str]:
    """Let each way have its turn in each round, in an order that is drawn anew.

    Args:
        ways: what makes one figure of each; one that raises `NotMeasuredError` is not asked again.
        rounds: how many figures of each.
        draw: says the order.
        warm_up: whether a round before them doesn't count.

    Returns:
        The figures of each in the order of the rounds, or why there are none.
    """
    found: dict[str, list[T] | str] = {name: [] for name in ways}
    for number in range(-warm_up, rounds):
        for name in draw.sample(list(ways), len(ways)):
            so_far = found[name]
            if isinstance(so_far, str):
                continue
            try:
                figure = ways[name]()
            except NotMeasuredError as error:
                found[name] = str(error)
                sys.stderr.write(f"  {name}: not measured: {error}\n")
                continue
            if number >= 0:
                so_far.append(figure)
        sys.stderr.write(f"  round {number + 1} of {rounds}\n")
    return found
