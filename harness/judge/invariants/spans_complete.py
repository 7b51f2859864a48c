"""Every answered request has its whole trace, and no span in it is an orphan."""

from __future__ import annotations

from harness import contract
from harness.history import JoinedRequest, is_attempt
from harness.judge.case import Case, Finding, Invariant, no_data, worst


def _missing(request: JoinedRequest) -> list[str]:
    services = {span.service for span in request.spans}
    parts = {
        "the client's span": contract.SERVICE_LOAD in services,
        "the balancer's span": contract.SERVICE_ENVOY in services,
        "the agent's server span": request.server is not None,
        "invoke_agent": bool(request.invocations),
        "a model attempt": any(is_attempt(span) for span in request.spans),
        "the model API's span": contract.SERVICE_SIMULATOR in services,
    }
    missing = [what for what, there in parts.items() if not there]
    ids = {span.span_id for span in request.spans}
    orphans = [s.name for s in request.spans if s.parent_span_id is not None and s.parent_span_id not in ids]
    return missing + [f"the parent of {name}" for name in orphans]


def _examine(case: Case) -> Finding:
    answered = [request for request in case.history.requests if request.row.ok]
    if not answered:
        return no_data("no request was answered")
    lacking = [(request, missing) for request in answered if (missing := _missing(request))]
    share = len(lacking) / len(answered)
    first = f"; the first lacks {', '.join(lacking[0][1][:3])}" if lacking else ""
    return Finding(
        holds=share <= case.limit,
        observed=share,
        message=f"{len(lacking)} of {len(answered)} traces are incomplete{first}",
        traces=worst(request.row.trace_id for request, _ in lacking),
    )


INVARIANT = Invariant(
    id="spans-complete",
    title="every trace is whole",
    limit=0.0,
    unit="1",
    remedy="Pass `traceparent` on at every hop, end every span, and flush at shutdown.",
    examine=_examine,
)
