"""After the burst, requests cost less than in another arm, by as much as was claimed."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, ratio_at_most


def _examine(case: Case) -> Finding:
    mine_ms = case.summary.steady_p95_ms
    theirs_ms = case.versus.steady_p95_ms if case.versus is not None else None
    if mine_ms is None or not theirs_ms:
        return no_data("both arms need 20 successes after the burst for a p95")
    steady = (request for request in case.history.requests if request.row.phase == "steady")
    return ratio_at_most(case, mine_ms, theirs_ms, "p95 after the burst", steady)


INVARIANT = Invariant(
    id="steady-p95-ratio",
    title="p95 after the burst against another arm",
    limit=1.0,
    unit="1",
    timing=True,
    compares=True,
    remedy="Nobody after the first should pay for a client: look for `client.init` in the slow traces.",
    examine=_examine,
)
