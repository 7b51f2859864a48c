"""No answer counts as a success whose model call never ended well.

Nor can one that no model call was made for, or that was out long before any of its model's answers was whole:
what such a success rests on is not known, a cache, maybe, or a sentence that is always the same. Then what
holds for the others is unknown. So it is where another model was asked after an answer that was cut: in its
place, or as a further step. (One that was refused plainly, and then another model that answered, is no
answer that was cut.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import WHOSE_CALLS
from harness.records.history import ArmHistory, JoinedRequest, calls
from harness.records.seen import JournalRow

OK = 200
Call = Sequence[JournalRow]
ENOUGH_ANSWERS = 5
"""A client looks for the end of an answer, or it does not: one that does not is found by the first it takes
for whole. Five, as retries or a check of the content may hide one or two."""
LATE_S = 0.2
"""A model answer that is over so long after the request's is none that this one rests on, on a busy machine
either."""


def _spoiled(row: JournalRow) -> bool:
    """Whether it began as an answer, and was none: an error with a status of its own is hard to overlook."""
    return not row.answered and row.status == OK and row.fault_class != "permanent"


def _cut(request: JoinedRequest) -> list[bool]:
    """Return its model calls that got no whole answer, and no other model's in place of it.

    Returns:
        For each whether it is sure: no other model was asked after it.
    """
    groups = calls(request.journal)
    return [
        not elsewhere
        for call in groups
        if all(not row.answered for row in call)
        and not ((elsewhere := _asked_elsewhere(call, groups)) and call[-1].status != OK)
    ]


def _asked_elsewhere(call: Call, groups: Sequence[Call]) -> bool:
    """Whether another model was asked after a call, and gave a whole answer."""
    return any(
        other[0].model != call[0].model
        and other[0].time_s >= call[-1].over_s
        and any(row.answered for row in other)
        for other in groups
    )


def _rests_on_nothing(history: ArmHistory) -> list[JoinedRequest]:
    """Return the successes that no whole model answer is known of which was there before they were.

    Left out is what may have been sent again, for what was saved is answered without a call.
    """
    told = contract.SERVICE_SIMULATOR not in history.clocks  # else what came first is not known
    return [
        request
        for request in history.requests
        if request.row.ok
        and not history.sent_again(request)
        and not any(
            row.over_s <= request.row.end_s + LATE_S or not told for row in request.journal if row.answered
        )
    ]


def _examine(case: Case) -> Finding:
    good = [request for request in case.history.requests if request.row.ok and request.journal]
    if not good:
        return no_data("no success with a model call in the journal")
    of_each = [(request, lost) for request in good if (lost := _cut(request))]
    cut = [request for request, _ in of_each]
    sure = [request for request, lost in of_each if any(lost)]
    kinds = sorted({row.decision for request in cut for row in request.journal if not row.answered})
    what = f" (served: {', '.join(kinds)})" if kinds else ""
    found = Finding(
        holds=len(cut) <= case.limit,
        observed=float(len(cut)),
        message=f"{len(cut)} of {len(good)} successes rest on a model answer that was cut or failed{what}",
        traces=worst(request.row.trace_id for request in cut),
        cases=sum(any(map(_spoiled, request.journal)) for request in case.history.requests),
    )
    if len(sure) > case.limit:
        return found
    if not found.holds:
        said = "another model was asked after each of them: in its place, or as a further step"
        return replace(found, holds=None, message=f"{found.message}; {said}, which can't be told")
    bare = _rests_on_nothing(case.history)
    if len(bare) <= len(case.history.strays):  # calls of nobody may be theirs
        return found
    return replace(
        found,
        holds=None,
        message=(
            f"{len(bare)} successes had no model answer before they were out: from a cache, maybe, or the "
            f"same for everybody. Seen was: {found.message}"
        ),
        traces=worst(request.row.trace_id for request in bare),
    )


INVARIANT = Invariant(
    id="answers-whole",
    title="every success rests on whole model answers",
    limit=0,
    unit="{request}",
    remedy=(
        "A stream that ends without its finish reason is an error: check for it, and retry while nothing "
        "was handed out."
    ),
    case="requests that were served an answer which was cut or spoiled",
    cases_needed=ENOUGH_ANSWERS,
    more_cases="Serve `eof_clean`, `body_truncated` or the like: only such an answer passes for a whole one.",
    examine=_examine,
    of_calls=True,
    needs=(WHOSE_CALLS,),
)
