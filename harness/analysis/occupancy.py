"""Who was busy when, and who idled while a request waited elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.history import ArmHistory

ROUTING_DELAY_S = 0.010
"""A request that is on its way for less than this waits for nobody: hops take their time."""

Steps = tuple[tuple[float, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """Seconds since the load began.

    Attributes:
        in_flight: per container, (time, requests in work) at each change.
        waiting: (time, requests that are due and in no container's work) at each change.
        busy_s: per container, seconds with at least one request in work.
        idle_while_waiting_s: container-seconds with a free slot while a request waited for longer
            than the routing delay; at each instant no more containers count than requests waited.
    """

    in_flight: Mapping[str, Steps]
    waiting: Steps
    busy_s: Mapping[str, float]
    idle_while_waiting_s: float


def occupancy(history: ArmHistory) -> Occupancy:
    """Reconstruct the occupancy of every container from the spans."""
    start_s = history.facts.start_s
    work: dict[str, list[tuple[float, float]]] = {c.name: [] for c in history.facts.containers}
    waits: list[tuple[float, float]] = []
    for request in history.requests:
        taken_s, done_s = request.taken_s, request.done_s
        if taken_s is None or done_s is None:
            waits.append((request.row.due_s - start_s, request.row.end_s - start_s))
            continue
        waits.append((request.row.due_s - start_s, taken_s - start_s))
        work.setdefault(request.container or "unknown", []).append((taken_s - start_s, done_s - start_s))
    in_flight = {name: steps(intervals) for name, intervals in work.items()}
    late = [(begin + ROUTING_DELAY_S, end) for begin, end in waits if end > begin + ROUTING_DELAY_S]
    return Occupancy(
        in_flight=in_flight,
        waiting=steps(waits),
        busy_s={name: covered_s(series) for name, series in in_flight.items()},
        idle_while_waiting_s=_idle_s(in_flight, steps(late), history.facts.concurrency_limit),
    )


def steps(intervals: Iterable[tuple[float, float]]) -> Steps:
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


def covered_s(series: Steps) -> float:
    """Return the seconds in which a count is above zero."""
    return sum(later - time for (time, count), (later, _) in pairwise(series) if count > 0)


def _idle_s(in_flight: Mapping[str, Steps], waiting: Steps, limit: int) -> float:
    """Integrate min(containers with a free slot, requests waiting) over time."""
    changes: list[tuple[float, str, int]] = [(time, "", count) for time, count in waiting]
    changes += [(time, name, count) for name, series in in_flight.items() for time, count in series]
    counts = dict.fromkeys(in_flight, 0)
    waiting_now, free, idle_s, before = 0, len(counts), 0.0, 0.0
    for time, name, count in sorted(changes):
        idle_s += min(free, waiting_now) * (time - before) if waiting_now and free else 0.0
        before = time
        if name:
            free += (count < limit) - (counts[name] < limit)
            counts[name] = count
        else:
            waiting_now = count
    return idle_s


def peak(series: Sequence[tuple[float, int]]) -> int:
    """Return the highest count."""
    return max((count for _, count in series), default=0)
