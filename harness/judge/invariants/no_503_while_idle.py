"""Nobody is refused for want of a slot while a container has one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import SERVER_SPANS
from harness.judge.fullness import had_a_choice
from harness.records.history import ROUTING_DELAY_S, JoinedRequest, grouped
from harness.records.setup import ArmFacts

REFUSED = 503
ENOUGH_REQUESTS = 50
"""Each of them can be refused by the full one; where one in sixteen is, 96 of 100 runs have it."""


def _examine(case: Case) -> Finding:
    worked = [request for request in case.history.requests if request.server is not None]
    if not worked:
        return no_data("no agent span tells when work began")
    work = {name: _Work(each) for name, each in grouped(worked, lambda each: each.container or "").items()}
    refused = [r for r in case.history.requests if r.row.status == REFUSED and r.server is None]
    needless = [r for r in refused if _had_room(case.history.facts, work, r.row.end_s)]
    return Finding(
        holds=len(needless) <= case.limit,
        observed=float(len(needless)),
        message=(
            f"{len(refused)} of {len(case.history.requests)} requests were refused with a 503, "
            f"{len(needless)} of them while a container idled"
        ),
        traces=worst(request.row.trace_id for request in needless),
        cases=had_a_choice(case.history),
    )


class _Work:
    """When a container worked: how many requests it had within any stretch of time."""

    def __init__(self, requests: Sequence[JoinedRequest]) -> None:
        self._taken_s = sorted(request.taken_s or 0.0 for request in requests)
        self._done_s = sorted(request.done_s or 0.0 for request in requests)

    def within(self, from_s: float, to_s: float) -> int:
        """Return how many were in work at any time between two instants."""
        return bisect_left(self._taken_s, to_s) - bisect_right(self._done_s, from_s)


NO_WORK = _Work(())


def _had_room(facts: ArmFacts, work: Mapping[str, _Work], at_s: float) -> bool:
    """Whether a container was in the list, with a slot free, all the routing delay before `at_s`."""
    since_s = at_s - ROUTING_DELAY_S
    for container in facts.containers:
        joined_s, left_s = container.present(facts.start_s, facts.end_s)
        taken = work.get(container.name, NO_WORK).within(since_s, at_s)
        if joined_s <= since_s and at_s <= left_s and taken < facts.concurrency_limit:
            return True
    return False


INVARIANT = Invariant(
    id="no-503-while-idle",
    title="no refusal while a container idles",
    limit=0,
    unit="{request}",
    remedy="Let the balancer offer a refused request to another container: the 503 promises it never began.",
    case="requests that came while one container was full and another was not",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more, or let requests take longer: while all containers are free, any of them will do.",
    examine=_examine,
    of_refusals=True,
    of_spans=True,
    instants=True,
    clocks=True,
    needs=(SERVER_SPANS,),
)
