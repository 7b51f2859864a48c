"""Within seconds after the tool server had weather, requests have their tools again.

A tool that fails makes no request fail: the model is told so, and makes do without. So it is asked of each
answer that was paid for, and not of errors: was a tool called in it, and did the tool server give a result?
Where requests did so before the weather, they have to do so after it. The longest time after its end at
which a request was sent that had none is the figure: a session that the server has forgotten, or a tool
that it no longer has, stays lost for as long as the container lives. One that was still in work when such
weather began again tells nothing.

The tool server's own spans tell: a container that doesn't hand its trace on to it is not known to have
called it.
"""

from __future__ import annotations

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.weather import OF_TOOLS, clear_since, weathers
from harness.records.history import JoinedRequest

ENOUGH_LATE = 8
"""Sooner nothing would be late. Who has lost its tools has them in none of these; one container of three that
has goes unseen in 4 of 100 runs (`(2/3)^8`)."""
CALLS_TOOLS = 0.9
"""So many of the answers before the weather need a tool, or the experiment asks for none."""


def _examine(case: Case) -> Finding:
    over = [window for window in weathers(case.history) if window.name.endswith(OF_TOOLS)]
    if not over:
        return no_data("the tool server had no weather")
    begun_s = case.history.facts.start_s + min(window.from_s for window in over)
    ended_s = case.history.facts.start_s + max(window.to_s for window in over)
    answered = [each for each in case.history.requests if each.row.ok and each.journal]
    before = [each for each in answered if each.row.end_s < begun_s]
    called = sum(map(_called, before))
    if not before or called < CALLS_TOOLS * len(before):
        return no_data(
            f"of {len(before)} answers before the weather {called} needed a tool: nearly all have to"
        )
    after = [
        (clear_s, each)
        for each in answered
        if (clear_s := clear_since(each, case.history, of=OF_TOOLS)) is not None
    ]
    late = [(clear_s, each.row.trace_id) for clear_s, each in after if not _called(each)]
    longest_s = max((clear_s for clear_s, _ in late), default=0.0)
    then = sum(each.row.sent_s > ended_s for _, each in after)
    return Finding(
        holds=longest_s <= case.limit,
        observed=longest_s,
        message=f"{len(late)} requests that were sent when it was over were answered without a tool, the "
        f"latest {longest_s:.1f} s after its end; {then} answers were asked for after the last",
        traces=worst(trace_id for _, trace_id in sorted(late, reverse=True)),
        cases=sum(clear_s > case.limit for clear_s, _ in after),
    )


def _called(request: JoinedRequest) -> bool:
    """Whether the tool server gave a result for it."""
    return any(
        span.service == contract.SERVICE_MCP
        and span.attributes.get(contract.OPERATION) == "execute_tool"
        and not span.error
        for span in request.spans
    )


INVARIANT = Invariant(
    id="tools-come-back",
    title="within seconds after the weather the tools are back",
    limit=5.0,
    unit="s",
    timing=True,
    remedy="After a tool call that failed, look whether the session still works and its tools are those that "
    "it had; else open another one.",
    case="answers that were asked for when the tools had to be there again",
    cases_needed=ENOUGH_LATE,
    more_cases="Let the load last longer after the weather, or send more.",
    examine=_examine,
    of_spans=True,
)
