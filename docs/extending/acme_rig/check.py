"""Hardly any request fails, whatever the model API does."""

from harness.judge.case import Case, Finding, Invariant, at_most, worst


def examine(case: Case) -> Finding:
    """Hold the share of requests that failed against the limit."""
    rows = [request.row for request in case.history.requests]
    failed = [row for row in rows if not row.ok]
    share = len(failed) / len(rows) if rows else None
    return at_most(case, share, "failed:", worst(row.trace_id for row in failed), cases=len(rows))


CHECK = Invariant(
    id="acme-failed-share",
    title="requests that failed",
    limit=0.1,
    unit="1",
    remedy="Try transient errors again.",
    case="requests",
    cases_needed=10,
    more_cases="Send more.",
    examine=examine,
    of_errors=True,
)
