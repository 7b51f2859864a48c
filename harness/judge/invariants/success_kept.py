"""No caller sees a success whose turn is not kept.

A turn that was answered is known to the answers of its session after it. Where none came after it, and its
trace tells of the store, its save ended well. What failed at its caller may be kept, or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import RECALL
from harness.records.history import JoinedRequest, grouped

ENOUGH_ANSWERS = 30
"""Of ten answers one that is not kept is seen in 96 of 100 runs."""


def _examine(case: Case) -> Finding:
    told = [each for each in case.history.requests if each.row.canary is not None and each.row.ok]
    if not any(each.row.recalled for each in told):
        return no_data("no answer repeats a canary word")
    of_session = grouped(told, lambda each: each.row.session_id)
    judged = {each.row.trace_id: kept for each in told if (kept := _kept(each, of_session)) is not None}
    lost = [trace for trace, kept in judged.items() if not kept]
    return Finding(
        holds=len(lost) <= case.limit,
        observed=float(len(lost)),
        message=f"of {len(judged)} turns that were answered, {len(lost)} were not kept",
        traces=worst(lost),
        cases=len(judged),
    )


def _kept(request: JoinedRequest, of_session: Mapping[str, Sequence[JoinedRequest]]) -> bool | None:
    """Return whether the turn of an answer was kept, None where nothing tells."""
    row = request.row
    later = [each.row for each in of_session[row.session_id] if each.row.sent_s >= row.end_s]
    if later:
        return row.canary in min(later, key=lambda each: each.sent_s).recalled
    saves = [span for span in request.spans if span.name == contract.SPAN_SESSION_SAVE]
    return None if not saves else any(not span.error for span in saves)


INVARIANT = Invariant(
    id="success-kept",
    title="no success without its turn kept",
    limit=0,
    unit="{turn}",
    remedy="Save the turn before its answer goes out, and answer 503 where that can't be done.",
    case="answers of which it is known whether their turn was kept",
    cases_needed=ENOUGH_ANSWERS,
    more_cases="Send more turns of each conversation.",
    examine=_examine,
    needs=(RECALL,),
)
