"""No container works on more than its limit at once."""

from __future__ import annotations

from collections.abc import Sequence

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import SERVER_SPANS
from harness.judge.fullness import met_a_full_one
from harness.judge.levels import HANDOVER_S, counted
from harness.records.history import JoinedRequest, grouped

ENOUGH_REQUESTS = 8
"""As many as a burst of twice the slots leaves over, with two containers of four: each of them finds the
limit, or breaks it. A limit is one comparison, not a chance."""


def _examine(case: Case) -> Finding:
    worked = [request for request in case.history.requests if request.server is not None]
    if not worked:
        return no_data("no agent span tells when work began")
    limit = case.history.facts.concurrency_limit
    of_each = grouped(worked, lambda request: request.container or "")
    found = [each for requests in of_each.values() for each in _at_once(requests)]
    most = max((count for count, _ in found), default=0)
    over = sorted((each for each in found if each[0] > limit), reverse=True)
    return Finding(
        holds=most - limit <= case.limit,
        observed=float(max(0, most - limit)),
        message=f"at most {most} requests in work at once in one container, its limit is {limit}"
        + (
            "" if most >= limit else f": {most} of {limit} slots were ever in use, the limit was never tested"
        ),
        cases=met_a_full_one(case.history),
        traces=worst(trace for _, trace in over),
    )


def _at_once(requests: Sequence[JoinedRequest]) -> list[tuple[int, str]]:
    """Return, for each request, how many were in work when it began, itself counted."""
    levels = counted(
        (each.taken_s or 0.0, (each.done_s or 0.0) - HANDOVER_S, each.row.trace_id) for each in requests
    )
    before = [0, *(level.count for level in levels)]
    return [
        (level.count, level.trace) for was, level in zip(before, levels, strict=False) if level.count > was
    ]


INVARIANT = Invariant(
    id="inflight-limit",
    title="requests in work above the container's limit",
    limit=0,
    unit="{request}",
    remedy="Take the slot before anything of the request is read, and give it back when work has ended.",
    case="requests that came, or waited, while a container was full",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more at once than there are slots.",
    examine=_examine,
    of_spans=True,
    instants=True,
    clocks=True,
    needs=(SERVER_SPANS,),
)
