"""No answer counts as a success whose model call never ended well."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import WHOSE_CALLS
from harness.records.history import JoinedRequest, calls
from harness.records.seen import JournalRow

OK = 200


ENOUGH_ANSWERS = 5
"""A client looks for the end of an answer, or it does not: one that does not is found by the first it takes
for whole. Five, as retries or a check of the content may hide one or two."""


def _spoiled(row: JournalRow) -> bool:
    """Whether it began as an answer, and was none: an error with a status of its own is hard to overlook."""
    return not row.answered and row.status == OK and row.fault_class != "permanent"


def _cut(request: JoinedRequest) -> bool:
    """Whether one of its model calls got no whole answer in any attempt."""
    return any(all(not row.answered for row in call) for call in calls(request.journal))


def _examine(case: Case) -> Finding:
    good = [request for request in case.history.requests if request.row.ok and request.journal]
    if not good:
        return no_data("no success with a model call in the journal")
    cut = [request for request in good if _cut(request)]
    kinds = sorted({row.decision for request in cut for row in request.journal if not row.answered})
    what = f" (served: {', '.join(kinds)})" if kinds else ""
    return Finding(
        holds=len(cut) <= case.limit,
        observed=float(len(cut)),
        message=f"{len(cut)} of {len(good)} successes rest on a model answer that was cut or failed{what}",
        traces=worst(request.row.trace_id for request in cut),
        cases=sum(any(map(_spoiled, request.journal)) for request in case.history.requests),
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
