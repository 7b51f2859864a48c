"""The first words of an answer are there within what was promised."""

from __future__ import annotations

from dataclasses import replace

from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst

ENOUGH_REQUESTS = 100
"""With fewer, a p99 is the maximum by another name."""


def _examine(case: Case) -> Finding:
    answered = sum(request.row.ok for request in case.history.requests)
    told = [
        (row.ttft_s, row.trace_id)
        for row in (request.row for request in case.history.requests)
        if row.ok and row.ttft_s is not None
    ]
    if not told:
        return no_data("no row tells when the first words of an answer were there")
    if case.summary.ttft_p99_ms is None:
        return Finding(holds=None, observed=None, message="there is no p99 of so few", cases=len(told))
    over = sorted(((ttft_s, trace) for ttft_s, trace in told if ttft_s * 1e3 > case.limit), reverse=True)
    what = "p99 to the first token of the successes, from when they were due, in ms:"
    traces = worst(trace for _, trace in over)
    finding = at_most(case, case.summary.ttft_p99_ms, what, traces, cases=len(told))
    return replace(finding, expected=answered)


INVARIANT = Invariant(
    id="ttft",
    title="p99 to the first token is within what was promised",
    limit=1000,
    unit="ms",
    timing=True,
    remedy=(
        "Hand out what the model says as it comes: an answer that is collected first, or buffered by a "
        "middleware, has its first words at its end."
    ),
    case="successes whose first words have a time",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more requests.",
    examine=_examine,
)
