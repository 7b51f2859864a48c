"""`/ping` says `HealthyBusy` while as many requests as the limit wait for the model: seen from outside.

That a container with a free slot says `Healthy` can't be told from outside: it may work on after its answer.
"""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.evidence import PINGS, WHOSE_CALLS
from harness.judge.levels import looks, open_calls

ENOUGH_LOOKS = 5
"""A status that is a constant is wrong in each; one that is wrong half the time is right in five by a chance
of 1 in 32."""


def _examine(case: Case) -> Finding:
    said_busy = [busy for full, busy in looks(case.history, open_calls(case.history)) if full]
    if not said_busy:
        return no_data("/ping was never seen at a full container")
    wrong = said_busy.count(False)
    return Finding(
        holds=wrong / len(said_busy) <= case.limit,
        observed=wrong / len(said_busy),
        message=f"/ping said Healthy in {wrong} of {len(said_busy)} looks at a full container",
        cases=len(said_busy),
    )


INVARIANT = Invariant(
    id="ping-busy-when-full",
    title="/ping says HealthyBusy at a full container",
    limit=0.02,
    unit="1",
    remedy="Answer /ping from the count of requests in work, and never from a cached or constant status.",
    case="looks at a full container",
    cases_needed=ENOUGH_LOOKS,
    more_cases="Let more requests come at once, and take longer.",
    examine=_examine,
    needs=(WHOSE_CALLS, PINGS),
)
