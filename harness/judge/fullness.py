"""When containers were full: at such times a limit, a queue and a balancer are put to the test."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from harness.judge.levels import InflightLevel, counted, open_calls
from harness.records.history import ArmHistory, JoinedRequest, grouped

State = tuple[int, int]
"""How many containers are full, and how many have a free slot."""


class FleetFullness:
    """How many containers of an arm were full, and how many had a free slot, as a function of time.

    Args:
        history: has the containers, when they were in the balancer's list, and their limit.
        levels: the requests in work of each container.
    """

    def __init__(self, history: ArmHistory, levels: Mapping[str, Sequence[InflightLevel]]) -> None:
        changes = sorted(
            (time_s, full, free)
            for name in _names(history, levels)
            for time_s, full, free in _changes(history, name, levels.get(name, ()))
        )
        self._times = [time_s for time_s, *_ in changes]
        full = list(accumulate(change for _, change, _ in changes))
        free = list(accumulate(change for *_, change in changes))
        states = list(zip(full, free, strict=True))
        self._one_full = _running(full > 0 for full, _ in states)
        self._all_full = _running(full > 0 and free == 0 for full, free in states)
        self._uneven = _running(full > 0 and free > 0 for full, free in states)

    def one_full(self, from_s: float, to_s: float) -> bool:
        """Whether a container was full at any time between two instants (Unix)."""
        return self._at_all(self._one_full, from_s, to_s)

    def all_full(self, from_s: float, to_s: float) -> bool:
        """Whether all containers were full at any time between two instants (Unix)."""
        return self._at_all(self._all_full, from_s, to_s)

    def uneven(self, at_s: float) -> bool:
        """Whether one container was full right before an instant (Unix), and another had a free slot."""
        return self._at_all(self._uneven, at_s, at_s)

    def _at_all(self, running: Sequence[int], from_s: float, to_s: float) -> bool:
        last = bisect_left(self._times, to_s)  # what begins then is of whoever comes then
        first = min(bisect_right(self._times, from_s), last) - 1
        return running[last] > running[max(0, first)]


def in_work(history: ArmHistory) -> dict[str, list[InflightLevel]]:
    """Return, for each container, how many requests it worked on, by its spans."""
    worked = [request for request in history.requests if request.server is not None]
    return {
        name: counted((each.taken_s or 0.0, each.done_s or 0.0, each.row.trace_id) for each in requests)
        for name, requests in grouped(worked, lambda request: request.container or "").items()
    }


def fullness(history: ArmHistory) -> FleetFullness:
    """Return when containers were full: by their spans, and as the callers saw it where these tell nothing.

    That is where there are none, where some were lost, and where they are from clocks that differ. To callers
    a container has a request from when it was sent until its end, if it did anything with it. That is a
    little longer than it worked on it. One whose reader left ends with its last call of the model.
    """
    return FleetFullness(history, _seen(history))


def fullness_of_each(history: ArmHistory) -> dict[str, FleetFullness]:
    """Return the same of each container for itself."""
    levels = _seen(history)
    return {
        each.name: FleetFullness(
            replace(history, facts=replace(history.facts, containers=(each,))),
            {each.name: levels.get(each.name, ())},
        )
        for each in history.facts.containers
    }


def _seen(history: ArmHistory) -> Mapping[str, Sequence[InflightLevel]]:
    seen_by_callers = [each for each in history.requests if each.container and (each.row.ok or each.journal)]
    return ({} if history.clocks or history.spans_lost else in_work(history)) or {
        name: counted((each.row.sent_s, _ended_s(each), each.row.trace_id) for each in requests)
        for name, requests in grouped(seen_by_callers, lambda request: request.container or "").items()
    }


def _ended_s(request: JoinedRequest) -> float:
    calls_s = [row.end_s for row in request.journal] if request.row.left else []
    return max(request.row.end_s, *calls_s, 0.0)


def met_a_full_one(history: ArmHistory) -> int:
    """Count the requests that came, or waited, while a container was full, by what the spans say."""
    seen = FleetFullness(history, in_work(history))
    return sum(seen.one_full(r.row.sent_s, _or_end(r, r.taken_s)) for r in history.requests)


def met_a_full_one_from_outside(history: ArmHistory) -> int:
    """Count the same by the model calls that were open."""
    seen = FleetFullness(history, open_calls(history))
    return sum(
        seen.one_full(r.row.sent_s, _or_end(r, r.journal[0].time_s if r.journal else None))
        for r in history.requests
    )


def had_a_choice(history: ArmHistory) -> int:
    """Count the requests that were sent while one container was full and another had a free slot."""
    seen = FleetFullness(history, in_work(history))
    return sum(seen.uneven(request.row.sent_s) for request in history.requests)


def _or_end(request: JoinedRequest, began_s: float | None) -> float:
    return request.row.end_s if began_s is None else began_s


def _names(history: ArmHistory, levels: Mapping[str, Sequence[InflightLevel]]) -> list[str]:
    return list(dict.fromkeys([*(each.name for each in history.facts.containers), *levels]))


def _changes(
    history: ArmHistory, name: str, levels: Sequence[InflightLevel]
) -> Iterator[tuple[float, int, int]]:
    """Yield by how much the number of full and of free containers changes with this one, and when."""
    facts = history.facts
    known = {each.name: each for each in facts.containers}
    joined_s, left_s = (
        known[name].present(facts.start_s, facts.end_s) if name in known else (facts.start_s, facts.end_s)
    )
    before: State = (0, 0)
    counts = [(joined_s, 0), *((max(level.time_s, joined_s), level.count) for level in levels)]
    for time_s, count in counts:
        if time_s >= left_s:
            break
        after = (1, 0) if count >= facts.concurrency_limit else (0, 1)
        if after != before:
            yield time_s, after[0] - before[0], after[1] - before[1]
        before = after
    yield left_s, -before[0], -before[1]


def _running(states: Iterator[bool]) -> list[int]:
    return [0, *accumulate(int(state) for state in states)]
