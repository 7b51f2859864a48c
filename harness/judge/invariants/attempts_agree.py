"""The attempts that the agent knows of are those that the simulator received.

Counted three times over: by the spans of the HTTP attempts, by what the agent says of each logical
call, and by the journal. An SDK that retries behind the agent's back makes them differ.
"""

from __future__ import annotations

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import MODEL_CALL_SPANS
from harness.records.history import MENDABLE, JoinedRequest

ENOUGH_REQUESTS = 30
"""A retry loop below the one that is seen takes part in each failure; one that only some errors start, one in
ten of them, is missed in 4 of 100 runs."""


def _recorded_attempts(request: JoinedRequest) -> int | None:
    """Return the attempts that the agent counted itself, None where it doesn't say."""
    counts = [span.attributes.get(contract.RETRY_ATTEMPTS) for span in request.model_calls]
    known = [count for count in counts if isinstance(count, int)]
    return sum(known) if known else None


def _differs(request: JoinedRequest) -> bool:
    received = len(request.journal)
    return len(request.attempts) != received or _recorded_attempts(request) not in {received, None}


def _examine(case: Case) -> Finding:
    requests = case.history.requests
    if not case.history.journal or not any(request.attempts for request in requests):
        return no_data("no attempt was seen, or none received")
    differ = [request for request in requests if (request.attempts or request.journal) and _differs(request)]
    strays = case.history.strays
    spans = sum(len(request.attempts) for request in requests)
    recorded = sum(_recorded_attempts(request) or 0 for request in requests)
    return Finding(
        holds=len(differ) + len(strays) <= case.limit,
        observed=float(len(differ) + len(strays)),
        message=(
            f"{len(case.history.journal)} attempts received, {spans} in spans, {recorded} by the agent's own "
            f"count; {len(differ)} requests differ and {len(strays)} attempts belong to no request"
        ),
        cases=sum(any(row.fault_class in MENDABLE for row in request.journal) for request in requests),
        traces=worst([*(request.row.trace_id for request in differ), *(row.trace_id for row in strays)]),
    )


INVARIANT = Invariant(
    id="attempts-agree",
    title="attempts known to the agent and received",
    limit=0,
    unit="{request}",
    remedy="More received than known means a hidden retry: look at the SDK's and the proxy's settings.",
    case="requests that met a fault that a retry may mend",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Serve faults: what nobody retries, nobody retries behind the agent's back.",
    examine=_examine,
    of_spans=True,
    of_calls=True,
    needs=(MODEL_CALL_SPANS,),
)
