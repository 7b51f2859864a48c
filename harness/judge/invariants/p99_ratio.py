"""The tail is shorter than that of another arm, by as much as was claimed."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst


def _examine(case: Case) -> Finding:
    if case.versus is None or case.versus.p99_ms is None or case.summary.p99_ms is None:
        return no_data("both arms need 100 successes for a p99")
    slowest = sorted(case.history.requests, key=lambda request: -request.row.latency_s)
    return at_most(
        case,
        case.summary.p99_ms / case.versus.p99_ms,
        f"p99 {case.summary.p99_ms:.0f} ms against {case.versus.p99_ms:.0f} ms in the other arm: ratio",
        worst(request.row.trace_id for request in slowest if request.row.ok),
    )


INVARIANT = Invariant(
    id="p99-ratio",
    title="p99 against another arm",
    limit=1.0,
    unit="1",
    timing=True,
    compares=True,
    remedy="Look where the tail's time goes: the waterfall of the slowest trace shows it.",
    examine=_examine,
)
