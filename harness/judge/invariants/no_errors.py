"""Nobody is told of an error but those whose request was at fault."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.causes import only_late, refused_for_good

ENOUGH_REQUESTS = 10
"""With fewer, one in four may fail and none is seen; `min_requests` of an experiment asks for more."""


def _examine(case: Case) -> Finding:
    looked_at = [
        request for request in case.history.requests if not (refused_for_good(request) or request.row.left)
    ]
    if not looked_at:
        return no_data("no request to look at")
    failed = [request for request in looked_at if not request.row.ok]
    share = len(failed) / len(looked_at)
    first = f"; the first: {failed[0].row.status or 'no answer'}, {failed[0].row.error}" if failed else ""
    return Finding(
        holds=share <= case.limit,
        observed=share,
        message=f"{len(failed)} of {len(looked_at)} requests failed without cause{first}",
        traces=worst(request.row.trace_id for request in failed),
        cases=len(looked_at),
        late=only_late(failed),
    )


INVARIANT = Invariant(
    id="no-errors",
    title="no request fails without cause",
    limit=0.0,
    unit="1",
    remedy="Look at the traces: the span with the error says which part gave up.",
    case="requests that the model did not refuse for good",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more requests.",
    examine=_examine,
    of_errors=True,
)
