"""After the burst, requests cost less than in another arm, by as much as was claimed."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst


def _examine(case: Case) -> Finding:
    mine = case.summary.steady_p95_ms
    theirs = case.versus.steady_p95_ms if case.versus is not None else None
    if mine is None or not theirs:
        return no_data("both arms need 20 successes after the burst for a p95")
    steady = (
        request for request in case.history.requests if request.row.phase == "steady" and request.row.ok
    )
    slowest = sorted(steady, key=lambda request: -request.row.latency_s)
    return at_most(
        case,
        mine / theirs,
        f"p95 after the burst {mine:.0f} ms against {theirs:.0f} ms in the other arm: ratio",
        worst(request.row.trace_id for request in slowest),
    )


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
