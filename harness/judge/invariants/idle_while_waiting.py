"""No container idles while a request waits elsewhere."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst
from harness.judge.evidence import SERVER_SPANS
from harness.judge.fullness import had_a_choice

ENOUGH_REQUESTS = 50
"""Each of them can be sent to the wrong container; where one in sixteen is, 96 of 100 runs have it."""


def _examine(case: Case) -> Finding:
    facts = case.history.facts
    present = (container.present(facts.start_s, facts.end_s) for container in facts.containers)
    total_s = sum(end_s - begin_s for begin_s, end_s in present)
    idle_s = case.summary.idle_while_waiting_s
    if idle_s is None or total_s <= 0:
        return no_data("no agent span tells when work began")
    longest = sorted(case.history.requests, key=lambda request: -request.wait_s)
    return at_most(
        case,
        idle_s / total_s,
        f"{idle_s:.1f} of {total_s:.0f} container-seconds idled while a request waited: share",
        worst(request.row.trace_id for request in longest),
        cases=had_a_choice(case.history),
    )


INVARIANT = Invariant(
    id="idle-while-waiting",
    title="no container idles while a request waits",
    limit=0.02,
    unit="1",
    timing=True,
    remedy="Send requests to idle containers: `/ping` and the 503 at the limit tell which are.",
    case="requests that came while one container was full and another was not",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more, or let requests take longer: while all containers are free, any of them will do.",
    examine=_examine,
    clocks=True,
    needs=(SERVER_SPANS,),
)
