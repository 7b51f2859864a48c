"""After the burst, requests cost less than in another arm, by as much as was claimed."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, ratio_at_most

ENOUGH_REQUESTS = 40
"""A p95 is one of the two slowest of them; with 20 it is the slowest."""


def _examine(case: Case) -> Finding:
    mine_ms = case.summary.steady_p95_ms
    theirs_ms = case.versus.steady_p95_ms if case.versus is not None else None
    steady = [request for request in case.history.requests if request.row.phase == "steady"]
    good = sum(request.row.ok for request in steady)
    if not good or not theirs_ms:
        return no_data("both arms need 20 successes after the burst for a p95")
    if mine_ms is None:
        return Finding(holds=None, observed=None, message="there is no p95 of so few", cases=good)
    return ratio_at_most(case, mine_ms, theirs_ms, "p95 after the burst", steady)


INVARIANT = Invariant(
    id="steady-p95-ratio",
    title="p95 after the burst against another arm",
    limit=1.0,
    unit="1",
    timing=True,
    compares=True,
    remedy="Nobody after the first should pay for a client: look for `client.init` in the slow traces.",
    case="successes after the burst",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more requests after the burst.",
    examine=_examine,
)
