"""The experiment happened: containers were replaced while they worked.

Of a rolling update that came to its end before the load did, or found the containers idle, nothing is to be
learnt of what becomes of requests in work. They are taken from the balancers' list first, and told to stop
only then: what counts is what is in work at that moment. What was not put to the test says nothing against an
agent.
"""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.records.history import ArmHistory, JoinedRequest

REMEDY = "Let the load last longer, or give the containers more to do: slower answers, or a higher rate."


def _examine(case: Case) -> Finding:
    events = case.history.facts.events
    replaced = [event for event in events if event.action == "replace"]
    if not replaced:
        return no_data("no container was replaced")
    told_s = {each.name: each.told_s for each in case.history.facts.containers}
    in_work = [_in_work(event.container, told_s.get(event.container), case.history) for event in replaced]
    met = sum(map(bool, in_work))
    requests = [request for found in in_work for request in found]
    overdue = sum(event.action == "overdue" for event in events)
    late = f"; {overdue} did not end in their time, and were killed" if overdue else ""
    enough = met >= case.limit
    message = (
        f"{len(replaced)} containers replaced, {met} of them at work when they were told to stop, with "
        f"{len(requests)} requests{late}"
    )
    return Finding(
        holds=True if enough else None,
        observed=float(met),
        message=message if enough else f"{message}; {case.limit:.0f} at work are needed. {REMEDY}",
        traces=worst(request.row.trace_id for request in requests),
        cases=len(replaced),
    )


def _in_work(container: str, told_s: float | None, history: ArmHistory) -> list[JoinedRequest]:
    """Return the requests that a container had begun, and not answered, when it was told to stop."""
    return [
        request
        for request in history.requests
        if request.container == container
        and told_s is not None
        and request.taken_s is not None
        and request.done_s is not None
        and request.taken_s <= told_s < request.done_s
    ]


INVARIANT = Invariant(
    id="replacements-done",
    title="containers were replaced at work",
    limit=4,
    unit="{replacement}",
    remedy=REMEDY,
    case="replacements",
    cases_needed=1,
    more_cases="Replace the containers while the load lasts.",
    examine=_examine,
    clocks=True,
)
