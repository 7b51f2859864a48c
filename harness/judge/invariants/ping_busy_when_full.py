"""`/ping` says `HealthyBusy` while as many requests as the limit wait for the model: seen from outside.

That a container with a free slot says `Healthy` can't be told from outside: it may work on after its answer.
"""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.evidence import PINGS, WHOSE_CALLS
from harness.judge.levels import judged_pings, open_calls

ENOUGH_PINGS = 5


def _examine(case: Case) -> Finding:
    busy_when_full = [busy for full, busy in judged_pings(case.history, open_calls(case.history)) if full]
    if len(busy_when_full) < ENOUGH_PINGS:
        return no_data(
            f"/ping was seen {len(busy_when_full)} times at a full container; {ENOUGH_PINGS} are needed"
        )
    untruthful = busy_when_full.count(False)
    return Finding(
        holds=untruthful / len(busy_when_full) <= case.limit,
        observed=untruthful / len(busy_when_full),
        message=f"/ping said Healthy in {untruthful} of {len(busy_when_full)} looks at a full container",
    )


INVARIANT = Invariant(
    id="ping-busy-when-full",
    title="/ping says HealthyBusy at a full container",
    limit=0.02,
    unit="1",
    remedy="Answer /ping from the count of requests in work, and never from a cached or constant status.",
    examine=_examine,
    needs=(WHOSE_CALLS, PINGS),
)
