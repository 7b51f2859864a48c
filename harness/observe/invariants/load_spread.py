"""Requests go to busy containers, while others have nothing to do, no more often than by chance.

For each request that comes while some containers have work and some have none: did it go to one that has?
Who picks any of them at random does so in as large a share as has work. The figure is how much more often
it was done, at the least: `(hits - 3.1 s) / expected`, where `s` is the standard error of as many random
picks. It is 1 or less for picks at random and all that are better, and more for a balancer that sticks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import sqrt
from typing import Final

from harness.analysis.occupancy import steps
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.observe.evidence import CONTAINERS
from harness.records.history import ROUTING_DELAY_S, grouped

ONE_IN_1000: Final = 3.1
ENOUGH_CHOICES: Final = 50
"""A balancer that takes a busy one of two each time is above chance by five standard errors."""


class _Work:
    """When a container worked."""

    def __init__(self, intervals: Sequence[tuple[float, float]]) -> None:
        self._steps = steps(intervals)
        self._begins = sorted(begin_s for begin_s, _ in intervals)
        self._ends = sorted(end_s for _, end_s in intervals)

    def at(self, time_s: float) -> int:
        """Return how many requests it had right before an instant."""
        return bisect_left(self._begins, time_s) - bisect_left(self._ends, time_s)

    def times(self) -> Iterator[tuple[float, float]]:
        """Yield from when to when it had any."""
        yield from ((at_s, to_s) for (at_s, count), (to_s, _) in pairwise(self._steps) if count)


class _Present:
    """How many containers were there."""

    def __init__(self, times: Iterable[tuple[float, float]]) -> None:
        told = list(times)
        self._from = sorted(from_s for from_s, _ in told)
        self._to = sorted(to_s for _, to_s in told)

    def at(self, time_s: float) -> int:
        """Return how many were there at an instant, the first and the last one counted."""
        return bisect_right(self._from, time_s) - bisect_left(self._to, time_s)


def _busy(work: Mapping[str, _Work], there: Mapping[str, tuple[float, float]]) -> list[tuple[float, float]]:
    """Return from when to when each container had work, while it was there."""
    found = list[tuple[float, float]]()
    for name, (from_s, to_s) in there.items():
        found += [
            (max(begin_s, from_s), min(end_s, to_s))
            for begin_s, end_s in work[name].times()
            if begin_s < to_s and end_s > from_s
        ]
    return found


def _examine(case: Case) -> Finding:
    facts = case.history.facts
    worked = [each for each in case.history.requests if each.server is not None and each.container]
    if not worked:
        return no_data("no span tells which container worked on a request")
    work = {
        name: _Work([(each.taken_s or 0.0, each.done_s or 0.0) for each in mine])
        for name, mine in grouped(worked, lambda each: each.container or "").items()
    }
    there = {
        container.name: container.present(facts.start_s, facts.end_s)
        for container in facts.containers
        if container.name in work
    }
    # counted, and not looked at one by one: a job that is a process of its own each time is thousands
    all_there, at_work = _Present(there.values()), _Work(_busy(work, there))
    hits, expected, variance, choices = list[str](), 0.0, 0.0, 0
    for each in worked:
        at_s = (each.taken_s or 0.0) - ROUTING_DELAY_S
        present, busy = all_there.at(at_s), at_work.at(at_s)
        if not 0 < busy < present:
            continue
        choices += 1
        share = busy / present
        expected, variance = expected + share, variance + share * (1 - share)
        if work[each.container or ""].at(at_s) > 0:
            hits.append(each.row.trace_id)
    if not choices:
        return no_data("no request came while one container had work and another had none")
    ratio = max(0.0, len(hits) - ONE_IN_1000 * sqrt(variance)) / expected
    return Finding(
        holds=ratio <= case.limit,
        observed=ratio,
        message=(
            f"{len(hits)} of {choices} requests went to a container with work while another had none, "
            f"{expected:.0f} would at random: at the least {ratio:.2f} times as many, limit {case.limit:.3g}"
        ),
        traces=worst(hits),
        cases=choices,
    )


INVARIANT = Invariant(
    id="load-spread",
    title="no container gets two while another has none",
    limit=1.0,
    unit="1",
    remedy="Let the balancer pick the container with the fewest requests, and bind no session to one.",
    case="requests that came while one container had work and another had none",
    cases_needed=ENOUGH_CHOICES,
    more_cases="Look at a longer time.",
    examine=_examine,
    of_spans=True,
    clocks=True,
    needs=(CONTAINERS,),
)
