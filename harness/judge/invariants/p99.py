"""The p99 of the answers stays within what was promised."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most, worst


def _examine(case: Case) -> Finding:
    good = sorted((r.row for r in case.history.requests if r.row.ok), key=lambda row: -row.latency_s)
    over = [row.trace_id for row in good if row.latency_s * 1e3 > case.limit]
    return at_most(
        case, case.summary.p99_ms, "p99 of the successes, from when they were due, in ms:", worst(over)
    )


INVARIANT = Invariant(
    id="p99",
    title="p99 is within what was promised",
    limit=2000,
    unit="ms",
    timing=True,
    remedy="The traces are the slowest: their longest span says which part to look at.",
    examine=_examine,
)
