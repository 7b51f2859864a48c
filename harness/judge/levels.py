"""How many requests a container has in work, as a function of time."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.history import ArmHistory, grouped

HANDOVER_S = 0.005
"""A model call has ended for the agent a moment before the simulator notes it."""
MARGIN_S = 0.05
"""A look within so long of a change is not judged: the poll takes time, and so does the hand-over."""


@dataclass(frozen=True, slots=True, order=True)
class Level:
    """From `time_s` (Unix) on, `count` requests are in work; `trace` is the one that changed it."""

    time_s: float
    count: int
    trace: str = ""


def open_calls(history: ArmHistory) -> dict[str, list[Level]]:
    """Return, for each container, how many of its requests have a model call open.

    So many are surely in work. A request whose calls run side by side counts once, and one that no
    container answered not at all.
    """
    answered = [each for each in history.requests if each.container and each.journal]
    found: dict[str, list[Level]] = {}
    for name, requests in grouped(answered, lambda each: each.container or "").items():
        changes = []
        for each in requests:
            for row in each.journal:
                if row.end_s - HANDOVER_S > row.time_s:
                    trace = each.row.trace_id
                    changes += [(row.time_s, 1, trace), (row.end_s - HANDOVER_S, -1, trace)]
        calls: Counter[str] = Counter()
        found[name] = []
        for time_s, step, trace in sorted(changes):
            calls[trace] += step
            found[name].append(Level(time_s, sum(count > 0 for count in calls.values()), trace))
    return found


def looks(history: ArmHistory, levels: Mapping[str, Sequence[Level]]) -> Iterator[tuple[bool, bool]]:
    """Yield, for each look at `/ping` that can be judged, whether the container was full, and said busy.

    Args:
        history: has the looks, and the limit.
        levels: the requests in work of each container.
    """
    for ping in history.pings:
        full = _is_full(levels.get(ping.source, ()), ping.time_s, history.facts.concurrency_limit)
        if full is not None:
            yield full, ping.value > 0


def _is_full(levels: Sequence[Level], time_s: float, limit: int) -> bool | None:
    """Return whether a container was full all around an instant; None when that changed just then."""
    first = bisect_right(levels, time_s - MARGIN_S, key=lambda level: level.time_s)
    last = bisect_right(levels, time_s + MARGIN_S, key=lambda level: level.time_s)
    before = levels[first - 1].count if first else 0
    seen = {before >= limit, *(level.count >= limit for level in levels[first:last])}
    return seen.pop() if len(seen) == 1 else None
