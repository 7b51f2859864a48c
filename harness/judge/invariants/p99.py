"""The p99 of the answers stays within what was promised."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst

ENOUGH_REQUESTS = 100
"""With fewer, a p99 is the maximum by another name."""


def _examine(case: Case) -> Finding:
    good = sorted((r.row for r in case.history.requests if r.row.ok), key=lambda row: -row.latency_s)
    over = [row.trace_id for row in good if row.latency_s * 1e3 > case.limit]
    if not good:
        return no_data("no request was answered")
    if case.summary.p99_ms is None:
        return Finding(holds=None, observed=None, message="there is no p99 of so few", cases=len(good))
    what = "p99 of the successes, from when they were due, in ms:"
    return at_most(case, case.summary.p99_ms, what, worst(over), cases=len(good))


INVARIANT = Invariant(
    id="p99",
    title="p99 is within what was promised",
    limit=2000,
    unit="ms",
    timing=True,
    remedy="The traces are the slowest: their longest span says which part to look at.",
    case="successes",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more requests.",
    examine=_examine,
)
