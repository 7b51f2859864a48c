"""Why requests failed: what was done to them explains it, or nothing does."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from harness.judge.fullness import FleetFullness, fullness
from harness.judge.weather import RECOVERY_S, in_weather
from harness.records.history import ArmHistory, JoinedRequest, call_key, calls
from harness.records.seen import JournalRow
from harness.records.spec import Policy

OFFERED_ELSEWHERE = {Policy.BUSY_503, Policy.BUSY_AWARE}
"""How a balancer picks a container where a refusal is offered to another one."""
REFUSED = 503
CONFLICT = 409
NOTICED_S = 1.0
"""For so long after a kill a balancer may still send there."""
TIME_IS_OVER = 504
GAVE_UP = "timeout"
"""What the load says of a request that it waited for no longer."""
WAITED_S = 1.0
"""Who says sooner that the time is over has not waited: that is no slow machine's doing."""


def refused_for_good(request: JoinedRequest) -> bool:
    """Whether the model refused one of its calls for good: then an error is the right answer."""
    return any(row.fault_class == "permanent" and row.served_a_fault for row in request.journal)


def unexplained(history: ArmHistory, *, weather: bool = True) -> tuple[JoinedRequest, ...]:
    """Return the requests that failed, and nothing that was done to them explains it.

    These explain it: a model call that got no whole answer in any attempt, as the simulator served faults; a
    container that was killed meanwhile; that there was no container when it came; a refusal (503) while all
    containers were full, or while one was, where the balancer offers a refused request to no other; weather
    between its container and what that calls, meanwhile or seconds before; a conflict (409) with another
    request of its session that was under way at the same time, for who asks on before the answer may be told
    so. A reader who left as planned is no failure.

    Args:
        history: of the arm.
        weather: whether that explains it, too, and so do full containers: they may be so of what hangs since.
    """
    failed = [request for request in history.requests if not (request.row.ok or request.row.left)]
    if not failed:
        return ()
    seen = fullness(history)
    elsewhere = (history.facts.policy_like or history.facts.policy) in OFFERED_ELSEWHERE
    unclaimed = _Unclaimed(history)
    return tuple(
        request
        for request in failed
        if not (
            any(map(_served_in_vain, calls(request.journal)))
            or lost_with_its_container(request, history)
            or _came_to_nobody(request, history)
            or (weather and _refused_when_full(request, seen, elsewhere=elsewhere))
            or (weather and in_weather(request, history, RECOVERY_S))
            or _asked_on(request, history)
            or unclaimed.explain(request)
        )
    )


def only_late(failed: Sequence[JoinedRequest]) -> bool:
    """Whether each of some requests failed because its time was over: a slow machine can do that."""
    return bool(failed) and all(
        (each.row.status == TIME_IS_OVER or each.row.error_type == GAVE_UP)
        and each.row.end_s - each.row.sent_s >= WAITED_S
        for each in failed
    )


def undecided(history: ArmHistory, failed: Sequence[JoinedRequest]) -> int:
    """Count the failed requests of which it can't be told whether a fault of the model was the cause.

    No model call is known to be theirs, and meanwhile one was refused that several requests may have made.
    """
    refused_s = sorted(
        row.time_s
        for row in history.journal
        if row.served_a_fault and not row.answered and call_key(row) in history.joins.ambiguous
    )
    return sum(
        bisect_left(refused_s, request.row.sent_s) < bisect_right(refused_s, request.row.end_s)
        for request in failed
        if not request.journal
    )


def _served_in_vain(call: Sequence[JournalRow]) -> bool:
    return all(not row.answered for row in call) and any(row.served_a_fault for row in call)


def lost_with_its_container(request: JoinedRequest, history: ArmHistory) -> bool:
    """Whether the container that worked on a request was killed meanwhile, or any where that is not known."""
    address_of = {container.name: container.address for container in history.facts.containers}
    mine = {request.container, address_of.get(request.container or "")}
    return any(
        event.action == "kill"
        and event.time_s - request.row.end_s <= 0 <= event.time_s + NOTICED_S - request.row.sent_s
        and (request.container is None or {event.container, address_of.get(event.container)} & mine)
        for event in history.facts.events
    )


def _came_to_nobody(request: JoinedRequest, history: ArmHistory) -> bool:
    return (request.server or request.container) is None and any(
        from_s <= request.row.sent_s < to_s for from_s, to_s in history.facts.empty
    )


def _refused_when_full(request: JoinedRequest, seen: FleetFullness, *, elsewhere: bool) -> bool:
    if request.row.status != REFUSED or request.server is not None or request.journal:
        return False
    full = seen.all_full if elsewhere else seen.one_full
    return full(request.row.sent_s, request.row.end_s)


def _asked_on(request: JoinedRequest, history: ArmHistory) -> bool:
    mine = request.row
    return mine.status == CONFLICT and any(
        row.session_id == mine.session_id and row.sent_s < mine.end_s and mine.sent_s < row.end_s
        for row in (each.row for each in history.requests if each is not request)
    )


class _Unclaimed:
    """Model calls in vain that no request is known to have made: each may explain one that has none."""

    def __init__(self, history: ArmHistory) -> None:
        known = {request.row.trace_id for request in history.requests}
        strays = [row for row in history.journal if row.trace_id not in known]
        self._calls = sorted(
            (call[0].time_s, call[-1].over_s) for call in calls(strays) if _served_in_vain(call)
        )

    def explain(self, request: JoinedRequest) -> bool:
        """Take the first that was made while a request lasted, where it has no call of its own."""
        if request.journal:
            return False
        for number in range(bisect_left(self._calls, (request.row.sent_s, 0.0)), len(self._calls)):
            begin_s, end_s = self._calls[number]
            if begin_s > request.row.end_s:
                return False
            if end_s <= request.row.end_s:
                del self._calls[number]
                return True
        return False
