"""Every request has an Agent object of its own."""

from __future__ import annotations

from collections.abc import Iterator

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import AGENT_IDS, agent_id
from harness.records.history import JoinedRequest, grouped

PROCESS = "process.pid"
"""What tells the processes of a container apart, where it has several and their resources say so."""
ENOUGH_REQUESTS = 30
"""An Agent that is used again for one request in ten is missed in 4 of 100 runs. The first request of a
container has a new one in any case."""


def _examine(case: Case) -> Finding:
    by_agent = [
        (*agent, request.row.trace_id)
        for request in case.history.requests
        for agent in dict.fromkeys(_agents(request))
    ]
    telling = [request for request in case.history.requests if _tells(request)]
    if not by_agent:
        return no_data(f"no invoke_agent span carries {contract.AGENT_ID}")
    groups = grouped(by_agent, lambda told: told[:3])
    most = max(len(group) for group in groups.values())
    shared = [
        trace
        for group in sorted(groups.values(), key=len, reverse=True)
        if len(group) > case.limit
        for *_, trace in group
    ]
    cases = len(telling) - len({request.container for request in telling})
    return Finding(
        holds=most <= case.limit,
        observed=float(most),
        message=f"{len(groups)} Agent objects served {len(by_agent)} requests; one served {most} at the most",
        traces=worst(shared),
        cases=cases,
        expected=cases + sum(not _tells(request) for request in case.history.told_whole),
    )


def _agents(request: JoinedRequest) -> Iterator[tuple[str | None, str, str]]:
    """Yield what names each Agent of a request: an id may be a number that each process counts itself."""
    for span in request.invocations:
        if (told := agent_id(span)) is not None:
            yield span.instance, str(span.resource.get(PROCESS, "")), told


def _tells(request: JoinedRequest) -> bool:
    return any(True for _ in _agents(request))


INVARIANT = Invariant(
    id="fresh-agent",
    title="every request has a fresh Agent",
    limit=1,
    unit="{request}",
    remedy=(
        "Build the Agent in the request's handler, with the messages of its own session. Its id has to be "
        "one that never comes again: Python's `id()` does, once the first object is gone."
    ),
    case="requests that tell their Agent, after the first in their container",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Set the attribute on each invoke_agent span, and send more requests.",
    examine=_examine,
    of_spans=True,
    needs=(AGENT_IDS,),
)
