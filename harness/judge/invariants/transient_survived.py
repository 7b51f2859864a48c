"""Requests that met transient faults are answered nevertheless.

Those of a storm are not looked at: more arrives there than the quota gives, so some have to fail.
"""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import WHOSE_CALLS
from harness.records.history import MENDABLE, STORM, JoinedRequest

ENOUGH_REQUESTS = 20
"""With fewer, one that is lost by chance is more than a limit of 0.95 allows."""


def _tested(request: JoinedRequest) -> bool:
    classes = {row.fault_class for row in request.journal}
    return bool(classes & MENDABLE) and "permanent" not in classes and request.row.phase != STORM


def _examine(case: Case) -> Finding:
    tested = [request for request in case.history.requests if _tested(request)]
    if not tested:
        return no_data("no request met a transient fault")
    lost = [request for request in tested if not request.row.ok]
    share = 1 - len(lost) / len(tested)
    survived = len(tested) - len(lost)
    return Finding(
        holds=share >= case.limit,
        observed=share,
        message=(
            f"{survived} of {len(tested)} requests outlived a transient fault: {share:.1%}, at least "
            f"{case.limit:.1%} should"
        ),
        traces=worst(request.row.trace_id for request in lost),
        cases=len(tested),
    )


INVARIANT = Invariant(
    id="transient-survived",
    title="transient faults are survived",
    limit=0.97,
    unit="1",
    remedy="Retry once or twice, after Retry-After and a backoff long enough for the fault to clear.",
    case="requests that met a transient fault outside a storm",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Serve more transient faults.",
    examine=_examine,
    needs=(WHOSE_CALLS,),
)
