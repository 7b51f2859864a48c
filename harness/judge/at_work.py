"""What containers had in work when they were told to stop: where they were idle, nothing was shown."""

from __future__ import annotations

from harness.judge.case import Case, Finding, no_data, worst
from harness.records.history import ArmHistory, JoinedRequest


def met_at_work(case: Case, action: str, done: str, remedy: str) -> Finding:
    """Look whether as many containers were at work as must be; too few say nothing against an agent.

    Args:
        case: of the arm.
        action: of the events.
        done: the same in a sentence: `replaced`.
        remedy: what finds more at work.
    """
    events = case.history.facts.events
    told_s = {each.name: each.told_s for each in case.history.facts.containers}
    # one that never was in the balancer's list had nothing to lose
    those = [event for event in events if event.action == action and event.container in told_s]
    if not those:
        return no_data(f"no container was {done}")
    in_work = [_in_work(event.container, told_s.get(event.container), case.history) for event in those]
    met = sum(map(bool, in_work))
    requests = [request for found in in_work for request in found]
    overdue = sum(event.action == "overdue" for event in events)
    late = f"; {overdue} did not end in their time, and were killed" if overdue else ""
    enough = met >= case.limit
    message = (
        f"{len(those)} containers {done}, {met} of them at work when they were told to stop, with "
        f"{len(requests)} requests{late}"
    )
    return Finding(
        holds=True if enough else None,
        observed=float(met),
        message=message if enough else f"{message}; {case.limit:.0f} at work are needed. {remedy}",
        traces=worst(request.row.trace_id for request in requests),
        cases=len(those),
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
