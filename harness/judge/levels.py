"""How many requests a container has in work, as a function of time."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.judge.case import Finding
from harness.records.history import ArmHistory, grouped
from harness.records.seen import MetricPoint

HANDOVER_S = 0.005
"""What overlaps for less is a hand-over: a slot is given back a moment before the server span ends, and a
wait inside the container is timed from a moment after it begins. Overlaps of a limit that is ignored last as
long as the work."""
PARTS = 4
LONG_S = 5.0
"""A container that is there for so long is looked at in each quarter of that: it is asked twice a second."""
MUTE_ANYWHERE = 0.1
"""Above this share of looks at free containers that got no answer, it is not for being full that they do."""
MARGIN_S = 0.05
"""A look within so long of a change is not judged: the poll takes time, and so does the hand-over."""


@dataclass(frozen=True, slots=True, order=True)
class InflightLevel:
    """From `time_s` (Unix) on, `count` requests are in work; `trace` is the one that changed it."""

    time_s: float
    count: int
    trace: str = ""


def open_calls(history: ArmHistory) -> dict[str, list[InflightLevel]]:
    """Return, for each container, how many of its requests have a model call open.

    So many are surely in work. A request whose calls run side by side counts once, and one that no
    container answered not at all.
    """
    answered = [each for each in history.requests if each.container and each.journal]
    found: dict[str, list[InflightLevel]] = {}
    for name, requests in grouped(answered, lambda each: each.container or "").items():
        found[name] = counted(
            (row.time_s, row.over_s - HANDOVER_S, each.row.trace_id)
            for each in requests
            for row in each.journal
        )
    return found


def counted(intervals: Iterable[tuple[float, float, str]]) -> list[InflightLevel]:
    """Count traces that something goes on for, at each change.

    Args:
        intervals: from when to when (Unix) something goes on, and for which trace. What goes on twice at
            once for one trace counts once, and what has ended before it began not at all.
    """
    changes: list[tuple[float, int, str]] = []
    for from_s, to_s, trace in intervals:
        if to_s > from_s:
            changes += [(from_s, 1, trace), (to_s, -1, trace)]
    open_of: Counter[str] = Counter()
    count = 0
    levels = []
    for time_s, step, trace in sorted(changes):
        was_open = open_of[trace] > 0
        open_of[trace] += step
        count += (open_of[trace] > 0) - was_open
        levels.append(InflightLevel(time_s, count, trace))
    return levels


def judged_pings(
    history: ArmHistory, levels: Mapping[str, Sequence[InflightLevel]]
) -> Iterator[tuple[bool, bool]]:
    """Yield, for each look at `/ping` that can be judged, whether the container was full, and said busy.

    Args:
        history: has the looks, and the limit.
        levels: the requests in work of each container.
    """
    for ping in history.pings:
        full = _is_full(levels.get(ping.source, ()), ping.time_s, history.facts.concurrency_limit)
        if full is not None:
            yield full, ping.value > 0


def mute_when_full(
    history: ArmHistory, levels: Mapping[str, Sequence[InflightLevel]], seen: Counter[bool], enough: int
) -> Finding | None:
    """Return that `/ping` is not answered at a full container, None where it mostly is.

    It waits there for what it tells of, a slot or a thread. That a machine which stands still lets looks go
    unanswered is no such thing: that befalls those at a free container as well.

    Args:
        history: has the looks, and the limit.
        levels: the requests in work of each container.
        seen: how many looks were answered, by whether the container was full.
        enough: so many unanswered ones are needed, and as many at a free container that were.
    """
    limit = history.facts.concurrency_limit
    mute = Counter(
        _is_full(levels.get(look.source, ()), look.time_s, limit, look.took_s) for look in history.mute_pings
    )
    full, free = mute[True] + seen[True], mute[False] + seen[False]
    of_being_full = mute[True] > seen[True] and mute[False] <= MUTE_ANYWHERE * free
    if not of_being_full or min(mute[True], seen[False]) < enough:
        return None
    return Finding(
        holds=False,
        observed=mute[True] / full,
        message=(
            f"/ping gave no answer in {mute[True]} of {full} looks at a full container, and in {mute[False]} "
            f"of {free} at one with a free slot"
        ),
        cases=full,
    )


def seen_throughout(finding: Finding, history: ArmHistory, looks: Iterable[MetricPoint]) -> Finding:
    """Return a finding that rests on looks at containers, unknown where one was not looked at for long.

    What holds for those that were looked at may not hold in the others, nor at other times.

    Args:
        finding: what the looks say.
        history: has the containers, and when they were in the balancer's list.
        looks: at them.
    """
    facts = history.facts
    times_of = grouped(looks, lambda look: look.source)
    for container in facts.containers:
        joined_s, left_s = container.present(facts.start_s, facts.end_s)
        part_s = (left_s - joined_s) / PARTS
        parts = (
            {int((look.time_s - joined_s) // part_s) for look in times_of.get(container.name, ())}
            if part_s
            else set()
        )
        if finding.holds and part_s * PARTS >= LONG_S and not parts >= set(range(PARTS)):
            said = f"{container.name} was not looked at for {part_s:.0f} s or longer"
            return replace(finding, holds=None, message=f"{said}. Seen was: {finding.message}")
    return finding


def never_at_work(history: ArmHistory) -> str | None:
    """Say that a container was there for long and worked on no request, None when each did.

    What holds for the others may not hold there: every policy sends to all that say they are free.
    """
    facts = history.facts
    worked = {request.container for request in history.requests}
    troubled = {event.container for event in facts.events}
    for container in facts.containers:
        joined_s, left_s = container.present(facts.start_s, facts.end_s)
        idle = container.name not in worked | troubled and left_s - joined_s >= LONG_S
        if idle and worked - {None}:
            return (
                f"not taken for held: {container.name} worked on none of {len(history.requests)} requests "
                f"in {left_s - joined_s:.0f} s; see whether it says HealthyBusy, or refuses what comes"
            )
    return None


def _is_full(levels: Sequence[InflightLevel], time_s: float, limit: int, took_s: float = 0.0) -> bool | None:
    """Return whether a container was full all around an instant, or a time; None when that changed then."""
    first = bisect_right(levels, time_s - MARGIN_S, key=lambda level: level.time_s)
    last = bisect_right(levels, time_s + took_s + MARGIN_S, key=lambda level: level.time_s)
    before = levels[first - 1].count if first else 0
    seen = {before >= limit, *(level.count >= limit for level in levels[first:last])}
    return seen.pop() if len(seen) == 1 else None
