"""The model is not paid while the store can't take the answer.

Counted are model calls that were answered, and whose request failed, or has no save that went well; and of
these, those that began while nothing could be kept: after a grace for those that had read their session
before. Weather that befalls one container counts for its calls alone.
"""

from __future__ import annotations

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import WHOSE_CALLS
from harness.judge.stays import stays
from harness.judge.weather import blocked_at, blocks
from harness.records.history import ArmHistory, JoinedRequest

ENOUGH_REQUESTS = 8
"""Who reads its session by a command that always passes pays for each of them."""
GRACE_S = 0.25
"""A request that read its session a moment before has the right to ask the model."""
SOME = ""
"""No container has this name: what befalls one alone does not befall it."""


def _examine(case: Case) -> Finding:
    history = case.history
    if not blocks(history):
        return no_data("the store could always be written")
    if not history.journal:
        return no_data("the simulator received no call, at no time: whether one was paid can't be told")
    met = [each for each in history.requests if _came_when_down(each, history)]
    paid = [each for each in met if _paid_in_vain(each, history)]
    return Finding(
        holds=len(paid) <= case.limit,
        observed=float(len(paid)),
        message=f"of {len(met)} requests that came while nothing could be kept, {len(paid)} had the model "
        "paid for an answer that was lost",
        traces=worst(each.row.trace_id for each in paid),
        cases=len(met),
    )


def _came_when_down(request: JoinedRequest, history: ArmHistory) -> bool:
    """Whether it was sent to a container while nothing could be kept there, for long enough to see that."""
    whose = _whose(request, history)
    return whose is not None and blocked_at(request.row.sent_s, whose, history, GRACE_S)


def _whose(request: JoinedRequest, history: ArmHistory) -> str | None:
    """Return the container that it was in; one that is named by nobody, where it was in any; None for none.

    No answer may have come from it. That it called the model shows that it was in one all the same: then
    weather that befalls all counts.
    """
    if request.container is not None:
        return request.container
    there = {stay.container for stay in stays(request, history)}
    if len(there) == 1:
        return there.pop()
    return SOME if there or request.journal else None


def _paid_in_vain(request: JoinedRequest, history: ArmHistory) -> bool:
    saved = any(span.name == contract.SPAN_SESSION_SAVE and not span.error for span in request.spans)
    whose = _whose(request, history)
    return not (request.row.ok or saved) and any(
        row.answered and blocked_at(row.time_s, whose, history, GRACE_S) for row in request.journal
    )


INVARIANT = Invariant(
    id="unpaid-when-down",
    title="the model is not paid for what can't be kept",
    limit=0,
    unit="{request}",
    remedy="Read a session by a command that is refused where a save would be: one that writes, and may need "
    "memory. So the request fails before the model is asked.",
    case="requests that came while nothing could be kept",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Let the weather last longer, or send more.",
    examine=_examine,
    of_calls=True,
    instants=True,
    needs=(WHOSE_CALLS,),
)
