"""The sessions that were opened at the tool server are those that the agent tells of.

Counted by the tool server itself, and by the spans of the tool client's builds, first and later ones, those
that failed included. A client that is built anew and tells nobody makes them differ. Where the tool server
had weather, a build may have come to nobody, or to another replica: nothing is known.
"""

from __future__ import annotations

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import HANDSHAKES, TOOL_INIT_SPANS
from harness.judge.weather import OF_TOOLS, weathers

ENOUGH_REQUESTS = 60
"""Each of them could have opened a session; where one in thirteen does, 99 of 100 runs have it
(`(12 / 13)^60` = 0.8 %)."""


def _examine(case: Case) -> Finding:
    history = case.history
    if history.handshakes is None:
        return no_data("the tool server was not asked how many sessions were opened with it")
    if any(window.name.endswith(OF_TOOLS) for window in weathers(history)):
        return no_data("the tool server had weather: what was opened with it may not have come to it")
    told = [
        span for span in history.inits if span.attributes.get(contract.CLIENT_NAME) == contract.TOOL_CLIENT
    ]
    if not told and not history.handshakes:
        return no_data("no session was opened at the tool server")
    if not told and not any(request.server for request in history.requests):
        return no_data("no span of the agent was seen")
    came = [request.container for request in history.requests if request.container]
    off = abs(history.handshakes - len(told))
    return Finding(
        holds=off <= case.limit,
        observed=float(off),
        message=f"{history.handshakes} sessions were opened at the tool server, and {len(told)} builds of "
        f"its client are told of, in {len(set(came))} containers",
        traces=worst(span.trace_id for span in told),
        cases=len(came) - len(set(came)),
    )


INVARIANT = Invariant(
    id="handshakes-agree",
    title="tool sessions opened, and told of",
    limit=0,
    unit="{session}",
    remedy="More opened than told of means a client that is built past the cache: share the one it has.",
    case="requests that came to a container after its first",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more requests.",
    examine=_examine,
    of_spans=True,
    needs=(HANDSHAKES, TOOL_INIT_SPANS),
)
