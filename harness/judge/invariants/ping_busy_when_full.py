"""`/ping` says `HealthyBusy` while as many requests as the limit wait for the model: seen from outside.

That a container with a free slot says `Healthy` can't be told from outside: it may work on after its answer.
One that gives no answer while it is full, and does while it is not, lets `/ping` wait for what it tells of.
"""

from __future__ import annotations

from collections import Counter

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.evidence import PINGS, WHOSE_CALLS
from harness.judge.levels import judged_pings, mute_when_full, open_calls, seen_throughout

ENOUGH_PINGS = 5
"""A status that is a constant is wrong in each; one that is wrong half the time is right in five by a chance
of 1 in 32."""


def _examine(case: Case) -> Finding:
    levels = open_calls(case.history)
    seen = list(judged_pings(case.history, levels))
    busy_when_full = [busy for full, busy in seen if full]
    looks = Counter(full for full, _ in seen)
    if (mute := mute_when_full(case.history, levels, looks, ENOUGH_PINGS)) is not None:
        return mute
    if not busy_when_full:
        return no_data("/ping was never seen at a full container")
    untruthful = busy_when_full.count(False)
    found = Finding(
        holds=untruthful / len(busy_when_full) <= case.limit,
        observed=untruthful / len(busy_when_full),
        message=f"/ping said Healthy in {untruthful} of {len(busy_when_full)} looks at a full container",
        cases=len(busy_when_full),
    )
    return seen_throughout(found, case.history, case.history.pings)


INVARIANT = Invariant(
    id="ping-busy-when-full",
    title="/ping says HealthyBusy at a full container",
    limit=0.02,
    unit="1",
    remedy="Answer /ping from the count of requests in work, and never from a cached or constant status.",
    case="looks at a full container",
    cases_needed=ENOUGH_PINGS,
    more_cases="Let more requests come at once, and take longer.",
    examine=_examine,
    clocks=True,
    of_calls=True,
    needs=(WHOSE_CALLS, PINGS),
)
