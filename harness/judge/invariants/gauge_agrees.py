"""A container's own count of its requests in work is what its spans say, at all times, and never negative.

A slot that is given back twice, or never, makes the count drift: `/ping`, the limit and whoever scales by it
then follow a number that means nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.evidence import GAUGE, SERVER_SPANS
from harness.judge.fullness import in_work
from harness.judge.levels import MARGIN_S, InflightLevel, seen_throughout

ENOUGH_LOOKS = 10
"""While it works: a count that is wrong half the time is right in ten looks by a chance of 1 in 1,000."""


def _examine(case: Case) -> Finding:
    history = case.history
    # What a killed container had in work left no spans.
    stayed = {each.name for each in history.facts.containers if each.left_s is None}
    levels = in_work(history)
    looks = [point for point in history.gauges if point.source in stayed and _lasts(case, point.time_s)]
    if not looks or not levels:
        return no_data("no count of a container, or no agent span, was seen")
    judged, wrong, at_work = Counter[bool](), Counter[bool](), 0
    for look in looks:
        least, most = _between(
            levels.get(look.source, ()), look.time_s - MARGIN_S, look.time_s + look.took_s + MARGIN_S
        )
        off = not least <= look.value <= most
        judged[most > 0] += least == most or off
        wrong[most > 0] += off
        at_work += least == most > 0
    lowest = min(look.value for look in looks)
    kinds = [(wrong.total(), judged.total())]
    kinds += [(wrong[working], number) for working, number in judged.items() if number >= ENOUGH_LOOKS]
    share = max((off / number for off, number in kinds if number), default=0.0)
    found = Finding(
        holds=share <= case.limit and lowest >= 0,
        observed=share,
        message=(
            f"the container's count was not what its spans say in {wrong[True]} of {judged[True]} looks at "
            f"one at work, and in {wrong[False]} of {judged[False]} at an idle one, limit {case.limit:.1%} "
            f"of either; its lowest was {lowest:.0f}"
        ),
        cases=at_work,
    )
    return seen_throughout(found, case.history, case.history.gauges)


def _lasts(case: Case, time_s: float) -> bool:
    return case.history.facts.start_s <= time_s <= case.history.facts.end_s


def _between(levels: Sequence[InflightLevel], from_s: float, to_s: float) -> tuple[int, int]:
    """Return the least and the most that were in work between two instants (Unix)."""
    first = bisect_right(levels, from_s, key=lambda level: level.time_s)
    last = bisect_right(levels, to_s, key=lambda level: level.time_s)
    before = levels[first - 1].count if first else 0
    counts = [before, *(level.count for level in levels[first:last])]
    return min(counts), max(counts)


INVARIANT = Invariant(
    id="gauge-agrees",
    title="the count of requests in work is what the spans say",
    limit=0.02,
    unit="1",
    remedy="Give each slot back exactly once, on every way out of a request (the busy-signal pattern).",
    case="looks at a container at work, when nothing changed",
    cases_needed=ENOUGH_LOOKS,
    more_cases="Send more, or let requests take longer.",
    examine=_examine,
    of_spans=True,
    clocks=True,
    instants=True,
    needs=(SERVER_SPANS, GAUGE),
)
