"""Every answered request has its whole trace, each model call received its spans, and none is an orphan.

The journal is the measure: what the simulator received must be in the agent's spans, and in its own, and be
of a request that was sent.
"""

from __future__ import annotations

from collections import Counter

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import INVOCATIONS, MODEL_CALL_SPANS, SERVER_SPANS
from harness.records.history import JoinedRequest, grouped

ENOUGH_TRACES = 30
"""Spans that one trace in ten lacks are seen in 96 of 100 runs."""


def _examine(case: Case) -> Finding:
    requests = case.history.requests
    if not any(request.row.ok for request in requests):
        return no_data("no request was answered")
    if not any(request.spans for request in requests):
        return no_data("no span was seen at all: does the agent export to OTEL_EXPORTER_OTLP_ENDPOINT?")
    lacking = [(request, lacks) for request in requests if (lacks := _lacks(request))]
    strays = case.history.strays
    share = min(1.0, (len(lacking) + len(strays)) / len(requests))
    first = f"; the first lacks {', '.join(lacking[0][1][:3])}" if lacking else ""
    return Finding(
        holds=share <= case.limit,
        observed=share,
        message=f"{len(lacking)} of {len(requests)} traces are incomplete{first}"
        + (
            f"; {len(strays)} model attempts that were received are in the trace of no request"
            if strays
            else ""
        ),
        traces=worst(request.row.trace_id for request, _ in lacking),
        cases=sum(request.row.ok for request in requests),
    )


def _lacks(request: JoinedRequest) -> list[str]:
    """Name what is not there: the parts of a success, and the parents of whatever is there."""
    ids = {span.span_id for span in request.spans}
    orphans = [
        span for span in request.spans if span.parent_span_id is not None and span.parent_span_id not in ids
    ]
    lacks = _missing(request) if request.row.ok else []
    return lacks + _untold(request) + [f"the parent of {s.name}" for s in orphans]


def _untold(request: JoinedRequest) -> list[str]:
    """Name the spans of model attempts that were received and are not told of."""
    attempts = {span.span_id for span in request.attempts}
    served = Counter(
        span.parent_span_id for span in request.spans if span.service == contract.SERVICE_SIMULATOR
    )
    lacks = []
    for parent, rows in grouped(request.journal, lambda row: row.parent_span_id).items():
        lacks += [] if parent in attempts else ["a model attempt that was received"] * len(rows)
        lacks += ["the model API's span of an attempt"] * max(0, len(rows) - served[parent])
    return lacks


def _missing(request: JoinedRequest) -> list[str]:
    services = {span.service for span in request.spans}
    parts = {
        "the client's span": any(span.span_id == request.row.span_id for span in request.spans),
        "the balancer's span": contract.SERVICE_ENVOY in services,
        "the agent's server span": request.server is not None,
        "invoke_agent": bool(request.invocations),
        "a model attempt": bool(request.attempts),
        "the model API's span": contract.SERVICE_SIMULATOR in services,
    }
    return [what for what, there in parts.items() if not there]


INVARIANT = Invariant(
    id="spans-complete",
    title="every trace is whole",
    limit=0.0,
    unit="1",
    remedy="Pass `traceparent` on at every hop, end every span, and flush at shutdown.",
    case="traces of answered requests",
    cases_needed=ENOUGH_TRACES,
    more_cases="Send more requests.",
    examine=_examine,
    needs=(SERVER_SPANS, INVOCATIONS, MODEL_CALL_SPANS),
)
