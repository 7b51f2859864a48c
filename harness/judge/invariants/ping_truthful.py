"""`/ping` says `HealthyBusy` while no slot is free, and `Healthy` while one is."""

from __future__ import annotations

from collections import Counter

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.evidence import PINGS, SERVER_SPANS
from harness.judge.levels import counted, judged_pings
from harness.records.history import grouped

ENOUGH_PINGS = 10
"""Of each kind: at the limit, and below it."""


def _examine(case: Case) -> Finding:
    worked = [request for request in case.history.requests if request.server is not None]
    in_work = {
        name: counted((each.taken_s or 0.0, each.done_s or 0.0, each.row.trace_id) for each in requests)
        for name, requests in grouped(worked, lambda request: request.container or "").items()
    }
    seen = Counter(judged_pings(case.history, in_work))
    full, free = seen[True, True] + seen[True, False], seen[False, True] + seen[False, False]
    if min(full, free) < ENOUGH_PINGS:
        return no_data(
            f"/ping was seen {full} times at the limit and {free} times below it; "
            f"{ENOUGH_PINGS} of each are needed"
        )
    untruthful = max(seen[True, False] / full, seen[False, True] / free)
    return Finding(
        holds=untruthful <= case.limit,
        observed=untruthful,
        message=(
            f"/ping said Healthy in {seen[True, False]} of {full} looks at a full container, "
            f"and HealthyBusy in {seen[False, True]} of {free} at one with a free slot"
        ),
    )


INVARIANT = Invariant(
    id="ping-truthful",
    title="/ping tells whether a slot is free",
    limit=0.02,
    unit="1",
    remedy="Answer /ping from the count of requests in work, and never from a cached or constant status.",
    examine=_examine,
    needs=(SERVER_SPANS, PINGS),
)
