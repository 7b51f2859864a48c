"""Who was busy when, and who idled while a request waited elsewhere."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise

from harness.records.history import ROUTING_DELAY_S, ArmHistory

Interval = tuple[float, float]
Steps = tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """Seconds since the load began.

    Attributes:
        in_flight: per container, (time, requests in work) at each change.
        waiting: (time, requests that are due and in no container's work) at each change.
        busy_s: per container, seconds with at least one request in work, work after the answer included.
        present: per container, from when to when the balancer sent to it.
        idle: per container, from when to when it counts for `idle_while_waiting_s`: more of them may at
            once than requests wait.
        idle_while_waiting_s: container-seconds with a free slot, in the balancer's list, while a request
            waited, both for longer than the routing delay; at no instant do more containers count than
            requests wait.
    """

    in_flight: Mapping[str, Steps]
    waiting: Steps
    busy_s: Mapping[str, float]
    present: Mapping[str, Interval]
    idle: Mapping[str, tuple[Interval, ...]]
    idle_while_waiting_s: float


def occupancy(history: ArmHistory) -> Occupancy:
    """Reconstruct the occupancy of every container from the spans."""
    start_s = history.facts.start_s
    work: dict[str, list[Interval]] = {c.name: [] for c in history.facts.containers}
    waits: list[Interval] = []
    for request in history.requests:
        due_s = request.row.due_s - start_s
        waits.append((due_s, due_s + request.wait_s))
        if request.taken_s is not None and request.done_s is not None:
            interval = (request.taken_s - start_s, request.done_s - start_s)
            work.setdefault(request.container or "unknown", []).append(interval)
    in_flight = {name: steps(intervals) for name, intervals in work.items()}
    present = _present(history)
    free = {
        name: [
            (max(begin, joined) + ROUTING_DELAY_S, min(end, left))
            for begin, end in _free(in_flight[name], history.facts.concurrency_limit, left)
        ]
        for name, (joined, left) in present.items()
    }
    waited = steps((begin + ROUTING_DELAY_S, end) for begin, end in waits)
    return Occupancy(
        in_flight=in_flight,
        waiting=steps(waits),
        busy_s={name: _covered_s(series) for name, series in in_flight.items()},
        present=present,
        idle={name: tuple(overlaps(spans, waited)) for name, spans in free.items()},
        idle_while_waiting_s=_shared_s(steps(chain.from_iterable(free.values())), waited),
    )


def steps(intervals: Iterable[Interval]) -> Steps:
    """Return how many intervals cover each instant, as (time, count) at each change."""
    changes: Counter[float] = Counter()
    for begin, end in intervals:
        if end > begin:
            changes[begin] += 1
            changes[end] -= 1
    series: list[tuple[float, int]] = []
    count = 0
    for time, change in sorted(changes.items()):
        if change:
            count += change
            series.append((time, count))
    return tuple(series)


def _covered_s(series: Steps) -> float:
    """Return the seconds in which a count is above zero."""
    return sum(later - time for (time, count), (later, _) in pairwise(series) if count > 0)


def _present(history: ArmHistory) -> dict[str, Interval]:
    """Return from when to when the balancer sent to each container, in seconds since the load began."""
    facts = history.facts
    present = {each.name: each.present(facts.start_s, facts.end_s) for each in facts.containers}
    return {name: (a - facts.start_s, b - facts.start_s) for name, (a, b) in present.items()}


def _free(series: Steps, limit: int, end_s: float) -> Iterator[Interval]:
    """Yield when a container had a free slot, from the load's begin to `end_s`."""
    since: float | None = 0.0
    for time, count in series:
        if count >= limit and since is not None:
            yield since, time
            since = None
        elif count < limit and since is None:
            since = time
    if since is not None:
        yield since, end_s


def overlaps(spans: Iterable[Interval], counted: Steps) -> Iterator[Interval]:
    """Yield what of the spans, one after another, lies where the count is above zero."""
    above = [(time, later) for (time, count), (later, _) in pairwise(counted) if count > 0]
    ends = [later for _, later in above]
    for begin, end in spans:
        if begin >= end:
            continue
        for number in range(bisect_right(ends, begin), len(above)):
            at, to = above[number]
            if at >= end:
                break
            yield max(begin, at), min(end, to)


def _shared_s(one: Steps, other: Steps) -> float:
    """Integrate the smaller of two counts over time."""
    changes = sorted([(time, 0, count) for time, count in one] + [(time, 1, count) for time, count in other])
    counts, total_s, before = [0, 0], 0.0, 0.0
    for time, which, count in changes:
        total_s += min(counts) * (time - before)
        counts[which], before = count, time
    return total_s
