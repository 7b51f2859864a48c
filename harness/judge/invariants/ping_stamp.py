"""`time_of_last_update` is when `/ping` last changed what it says, never when it was asked.

The spans tell when a container became full, and when it no longer was. At each look the stamp has to be of
such a change: it moves with one, and where the status is another than at the look before, it has moved. A
stamp is cut to whole seconds: one taken at the poll shows only in a second in which nothing had changed, so
looks there are the cases.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.evidence import SERVER_SPANS, STAMPS
from harness.judge.fullness import in_work
from harness.judge.levels import MARGIN_S, InflightLevel, seen_throughout
from harness.records.history import ArmHistory
from harness.records.seen import MetricPoint

ENOUGH_LOOKS = 5
"""While the container is full. A stamp of the poll is wrong in each; one of a timer that fires every other
second is right in five by a chance of 1 in 32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A look at a stamp.

    Attributes:
        tells: whether a stamp of the poll would show.
        full: whether the container was.
        wrong: whether the stamp is of no change.
    """

    tells: bool
    full: bool
    wrong: bool


def _examine(case: Case) -> Finding:
    history = case.history
    seen = [look for look in _looks(history, in_work(history)) if look.tells or look.wrong]
    if not seen:
        return no_data("no stamp was seen at a time that tells")
    wrong = sum(look.wrong for look in seen)
    count = Counter(look.full for look in seen)
    share = max(
        sum(look.wrong for look in seen if look.full is full) / number for full, number in count.items()
    )
    found = Finding(
        holds=share <= case.limit,
        observed=share,
        message=(
            f"the stamp was of no change in {wrong} of {len(seen)} looks "
            f"({count[True]} of them at a full container); limit {case.limit:.1%} of either kind"
        ),
        cases=count[True],
    )
    return seen_throughout(found, case.history, case.history.stamps)


def _looks(history: ArmHistory, levels: Mapping[str, Sequence[InflightLevel]]) -> list[Look]:
    """Judge each stamp, beside the one of the look before."""
    found = []
    said = {(ping.source, ping.time_s): ping.value for ping in history.pings}
    before: dict[str, MetricPoint] = {}
    for point in sorted(history.stamps, key=lambda point: point.time_s):
        earlier = before.get(point.source)
        before[point.source] = point
        if earlier is not None:
            flipped = said.get((point.source, point.time_s)) != said.get((earlier.source, earlier.time_s))
            mine = levels.get(point.source, ())
            found.append(_judged(earlier, point, mine, history.facts.concurrency_limit, flipped=flipped))
    return found


def _judged(
    earlier: MetricPoint, point: MetricPoint, levels: Sequence[InflightLevel], limit: int, *, flipped: bool
) -> Look:
    # From a little before the look before on, every begin and end at the limit may have changed the status.
    first = bisect_right(levels, earlier.time_s - MARGIN_S, key=lambda level: level.time_s)
    last = bisect_right(levels, point.time_s + MARGIN_S, key=lambda level: level.time_s)
    counts = [levels[first - 1].count if first else 0, *(level.count for level in levels[first:last])]
    changes = [level.time_s for level in levels[first:last]] if max(counts) >= limit else []
    moved = point.value != earlier.value
    of_a_change = any(floor(at - MARGIN_S) <= point.value <= at + MARGIN_S for at in changes)
    settled = not any(floor(at + MARGIN_S) >= floor(point.time_s) for at in changes)
    another_second = floor(point.time_s) > floor(earlier.time_s)
    return Look(
        tells=settled and another_second,
        full=counts[-1] >= limit,
        wrong=(moved or flipped) and not of_a_change,
    )


INVARIANT = Invariant(
    id="ping-stamp",
    title="/ping is stamped when its status changes",
    limit=0.02,
    unit="1",
    remedy="Stamp the change of the status, and never the poll: a platform takes an idle container whose "
    "stamp keeps moving for an active one.",
    case="looks at a full container, in a second in which nothing had changed",
    cases_needed=ENOUGH_LOOKS,
    more_cases="Let requests take longer than a second, and fill the containers.",
    examine=_examine,
    of_spans=True,
    clocks=True,
    needs=(SERVER_SPANS, STAMPS),
)
