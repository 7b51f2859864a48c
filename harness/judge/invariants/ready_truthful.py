"""`/readyz` says no while nothing can be kept, and a refusal for the store's sake tells when to come again.

Each look at it counts that came while nothing could be kept in that container, after a second in which that
has to be noticed. What gives no answer in a second is not ready either.
"""

from __future__ import annotations

from harness.contract import READYZ
from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.weather import blocked_at, blocks

NOTICED_S = 1.0
ENOUGH_LOOKS = 8


def _examine(case: Case) -> Finding:
    history = case.history
    if not blocks(history):
        return no_data("the store could always be written")
    looks = [
        point
        for point in history.readiness
        if blocked_at(point.time_s, point.source, history, NOTICED_S)
        and blocked_at(point.time_s + point.took_s, point.source, history, NOTICED_S)
    ]
    if not looks:
        return no_data("nobody looked at /readyz while nothing could be kept")
    lies = sum(point.value > 0 for point in looks)
    share = lies / len(looks)
    return Finding(
        holds=share <= case.limit,
        observed=share,
        message=f"{lies} of {len(looks)} looks at /readyz found it ready while no turn could be kept",
        cases=len(looks),
    )


INVARIANT = Invariant(
    id="ready-truthful",
    title="/readyz says no while nothing can be kept",
    limit=0.05,
    unit="1",
    timing=True,
    remedy=f"Let {READYZ} try what a save does: a write, over the connections that requests use.",
    case="looks at /readyz while nothing could be kept",
    cases_needed=ENOUGH_LOOKS,
    more_cases="Let the weather last longer.",
    examine=_examine,
)
