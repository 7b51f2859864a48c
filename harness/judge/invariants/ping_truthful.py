"""`/ping` says `HealthyBusy` while no slot is free, and `Healthy` while one is.

One that gives no answer while no slot is free, and does while one is, lets `/ping` wait for what it tells of.
"""

from __future__ import annotations

from collections import Counter

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.evidence import PINGS, SERVER_SPANS
from harness.judge.fullness import in_work
from harness.judge.levels import judged_pings, mute_when_full, seen_throughout

ENOUGH_PINGS = 10
"""Of each kind: at the limit, and below it. A status that is wrong half the time is right in ten looks by a
chance of 1 in 1,000."""


def _examine(case: Case) -> Finding:
    levels = in_work(case.history)
    seen = Counter(judged_pings(case.history, levels))
    full, free = seen[True, True] + seen[True, False], seen[False, True] + seen[False, False]
    looks = Counter({True: full, False: free})
    if (mute := mute_when_full(case.history, levels, looks, ENOUGH_PINGS)) is not None:
        return mute
    if not min(full, free):
        return no_data(f"/ping was seen {full} times at the limit and {free} times below it")
    untruthful = max(seen[True, False] / full, seen[False, True] / free)
    found = Finding(
        holds=untruthful <= case.limit,
        observed=untruthful,
        message=(
            f"/ping said Healthy in {seen[True, False]} of {full} looks at a full container, "
            f"and HealthyBusy in {seen[False, True]} of {free} at one with a free slot"
        ),
        cases=min(full, free),
    )
    return seen_throughout(found, case.history, case.history.pings)


INVARIANT = Invariant(
    id="ping-truthful",
    title="/ping tells whether a slot is free",
    limit=0.02,
    unit="1",
    remedy="Answer /ping from the count of requests in work, and never from a cached or constant status.",
    case="looks at a full container, and as many at one with a free slot",
    cases_needed=ENOUGH_PINGS,
    more_cases="Let more requests come at once, and take longer, with quiet between.",
    examine=_examine,
    of_spans=True,
    clocks=True,
    needs=(SERVER_SPANS, PINGS),
)
