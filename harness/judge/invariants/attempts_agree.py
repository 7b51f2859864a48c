"""The attempts that the agent's spans show are those that the simulator received."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst


def _examine(case: Case) -> Finding:
    looked_at = [request for request in case.history.requests if request.journal]
    if not looked_at or not any(request.attempts for request in looked_at):
        return no_data("no attempt span was seen")
    differ = [request for request in looked_at if len(request.attempts) != len(request.journal)]
    spans = sum(len(request.attempts) for request in looked_at)
    received = sum(len(request.journal) for request in looked_at)
    return Finding(
        holds=len(differ) <= case.limit,
        observed=float(len(differ)),
        message=f"{spans} attempts in spans, {received} received; {len(differ)} requests differ",
        traces=worst(request.row.trace_id for request in differ),
    )


INVARIANT = Invariant(
    id="attempts-agree",
    title="attempts in spans and in the journal",
    limit=0,
    unit="{request}",
    remedy="More received than shown means a hidden retry: look at the SDK's and the proxy's settings.",
    examine=_examine,
)
