"""The model is not paid while the store can't take the answer.

Counted are model calls that were answered, and whose request failed, or has no save that went well; and of
these, those that began while nothing could be kept: after a grace for those that had read their session
before. Weather that befalls one container counts for its calls alone.
"""

from __future__ import annotations

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import WHOSE_CALLS
from harness.judge.weather import blocked_at, blocks
from harness.records.history import ArmHistory, JoinedRequest

ENOUGH_REQUESTS = 8
"""Who reads its session by a command that always passes pays for each of them."""
GRACE_S = 0.25
"""A request that read its session a moment before has the right to ask the model."""


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
    return request.container is not None and blocked_at(
        request.row.sent_s, request.container, history, GRACE_S
    )


def _paid_in_vain(request: JoinedRequest, history: ArmHistory) -> bool:
    saved = any(span.name == contract.SPAN_SESSION_SAVE and not span.error for span in request.spans)
    return not (request.row.ok or saved) and any(
        row.answered and blocked_at(row.time_s, request.container, history, GRACE_S)
        for row in request.journal
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
    needs=(WHOSE_CALLS,),
)
