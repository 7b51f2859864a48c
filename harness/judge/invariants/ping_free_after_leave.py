"""A container whose readers left says `Healthy` again, once it has done with all that it had in work.

Who is idle, and says for good that it is busy, is sent nothing by a balancer that asks, and is never stopped
by a platform that does. A container that says so at one look and not at another may have had something to do
of which no span tells.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.evidence import PINGS, READ_IN_PARTS, SERVER_SPANS
from harness.records.history import ArmHistory, JoinedRequest

SETTLED_S = 1.0
"""So long after its last work ended, a container has noticed who left, and given back what they had."""
LOOKS = 2
"""Of one container: a single one may have met something."""
ENOUGH_LOOKS = 4


def _examine(case: Case) -> Finding:
    history = case.history
    left_s: dict[str, float] = {}
    for request in history.requests:
        if request.row.left and request.container is not None:
            name, end_s = request.container, request.row.end_s
            left_s[name] = min(left_s.get(name, end_s), end_s)
    if not left_s:
        return no_data("no reader left a container in mid-answer")
    busy = {name: _looks(history, name, since_s) for name, since_s in left_s.items()}
    stuck = sorted(name for name, looks in busy.items() if len(looks) >= LOOKS and all(looks))
    looks = sum(map(len, busy.values()))
    named = f" ({', '.join(stuck)})" if stuck else ""
    found = Finding(
        holds=len(stuck) <= case.limit,
        observed=float(len(stuck)),
        message=(
            f"of {len(busy)} containers that readers left in mid-answer, {len(stuck)} said HealthyBusy in "
            f"all looks with nothing in work{named}; {looks} looks in all"
        ),
        cases=looks,
    )
    few = sorted(name for name, seen in busy.items() if len(seen) < LOOKS)
    if not found.holds or not few:
        return found
    return Finding(
        holds=None,
        observed=found.observed,
        message=f"{', '.join(few)} was hardly seen with nothing in work. Seen was: {found.message}",
        cases=looks,
    )


def _looks(history: ArmHistory, name: str, since_s: float) -> list[bool]:
    """Return what a container said, since a reader left, at each look with nothing in work: whether busy."""
    # What no container is known of may be in the work of any.
    own = [each for each in history.requests if each.container in {name, None}]
    work = sorted((each.row.sent_s, _over_s(each)) for each in own)
    starts = [start_s for start_s, _ in work]
    ends = list(accumulate((end_s for _, end_s in work), max))
    return [
        ping.value > 0
        for ping in history.pings
        if ping.source == name
        and ping.time_s >= since_s + SETTLED_S
        and (
            (before := bisect_right(starts, ping.time_s)) == 0 or ends[before - 1] + SETTLED_S <= ping.time_s
        )
    ]


def _over_s(request: JoinedRequest) -> float:
    """Return when nothing more was done for a request, by all that tells of it."""
    calls_s: Iterable[float] = (row.end_s for row in request.journal)
    return max(request.row.end_s, request.done_s or 0.0, *calls_s, 0.0)


INVARIANT = Invariant(
    id="ping-free-after-leave",
    title="/ping says Healthy again once readers have left",
    limit=0,
    unit="{container}",
    remedy="Answer /ping from the count of requests in work; count down on every way out, a disconnect, too.",
    case="looks at a container with nothing in work that a reader had left",
    cases_needed=ENOUGH_LOOKS,
    more_cases="Leave the fleet alone for some seconds once readers have left.",
    examine=_examine,
    of_spans=True,
    clocks=True,
    needs=(READ_IN_PARTS, SERVER_SPANS, PINGS),
)
