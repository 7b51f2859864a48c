"""Requests that come while there is no container are answered, once there is one.

That they wait, and for how long, is told: what a container's start takes is nobody's fault.
"""

from __future__ import annotations

import math

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.causes import only_late
from harness.records.history import JoinedRequest


def _examine(case: Case) -> Finding:
    empty = case.history.facts.empty
    if not empty:
        return no_data("there was always a container")
    gone_s = {each.name: each.left_s for each in case.history.facts.containers if each.left_s is not None}
    came = [
        request
        for request in case.history.requests
        if any(from_s <= request.row.sent_s < to_s for from_s, to_s in empty)
        and not request.row.left
        # what one on its way out has taken and answered all the same waited for nobody
        and not (request.row.ok and gone_s.get(request.container or "", math.inf) <= request.row.sent_s)
    ]
    if not came:
        return no_data("no request came while there was no container")
    failed = [request for request in came if not request.row.ok]
    many = f"{len(came)} request{'' if len(came) == 1 else 's'}"
    lasted_s = sum(to_s - from_s for from_s, to_s in empty)
    return Finding(
        holds=len(failed) <= case.limit,
        observed=float(len(failed)),
        message=f"for {lasted_s:.1f} s there was no container, and {many} came; {_outcome(came, failed)}",
        traces=worst(request.row.trace_id for request in (failed or came)),
        cases=len(came),
        late=only_late(failed),
    )


def _outcome(came: list[JoinedRequest], failed: list[JoinedRequest]) -> str:
    if failed:
        row = failed[0].row
        return f"{len(failed)} of them failed, the first with {row.status or 'no answer'}, {row.error}"
    first = min(came, key=lambda request: request.row.sent_s)
    waited = (
        f"waited {first.wait_s:.1f} s for one, and had its answer" if first.taken_s is not None else "had its"
    )
    return f"all were answered; the first {waited} after {first.row.latency_s:.1f} s"


INVARIANT = Invariant(
    id="first-after-none",
    title="the first request after a pause without containers is answered",
    limit=0,
    unit="{request}",
    remedy="Keep requests that come while there is no container until there is one, and start one for them.",
    case="requests that came while there was no container",
    cases_needed=1,
    more_cases="Leave it without requests until the last container is gone, and send some then.",
    examine=_examine,
    of_errors=True,
)
