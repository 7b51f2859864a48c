"""A container that stands still holds no more requests than it may work on.

A process that is stopped (a host that swaps, a hypervisor that moves it, a debugger) keeps its sockets open,
and the kernel goes on taking what is sent to them. A balancer that sees liveness only believes in it for as
long as that takes: each request of its turn hangs. One that knows how many a container has in work sends it
what fits, and no more.

Counted are the requests that were sent to a container while it was frozen, or were in its work when that
began, and ended only after it. Where the balancer tells by spans to whom it gave each, that counts: one that
waited for a slot meanwhile was not held, and one that it gave to another in the end may have been. The limit
is how many one container may work on at once.
"""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.stays import given
from harness.records.history import ArmHistory, JoinedRequest
from harness.records.setup import FleetEvent

ENOUGH_FREEZES = 1
"""Each is a trial of all that is sent meanwhile, where a fair share of that would be above the limit."""
GOES_ON = {"thaw", "kill"}
"""What ends it for those that it holds."""
SOON_S = 0.5
"""What was sent so shortly before it went on need not have hung."""


def _examine(case: Case) -> Finding:
    history = case.history
    frozen = [event for event in history.facts.events if event.action == "freeze"]
    if not frozen:
        return no_data("no container was frozen")
    most = max((_held(event, history) for event in frozen), key=len)
    over = max(0, len(most) - history.facts.concurrency_limit)
    slowest = sorted(most, key=lambda each: -each.row.latency_s)
    waited_s = max((each.row.latency_s for each in most), default=0.0)
    return Finding(
        holds=over <= case.limit,
        observed=float(over),
        message=f"{len(frozen)} times a container was frozen; the one that held most held {len(most)} "
        f"requests, {history.facts.concurrency_limit} may be in its work; the longest took {waited_s:.1f} s",
        traces=worst(each.row.trace_id for each in slowest),
        cases=sum(_is_a_trial(event, history) for event in frozen),
    )


def _is_a_trial(event: FleetEvent, history: ArmHistory) -> bool:
    """Whether so much was sent while a container was frozen that its even share is above what it may hold."""
    thawed_s = _thawed_s(event, history)
    sent = sum(event.time_s <= each.row.sent_s < thawed_s - SOON_S for each in history.requests)
    return sent > history.facts.concurrency_limit * len(history.facts.containers)


def _held(event: FleetEvent, history: ArmHistory) -> list[JoinedRequest]:
    """Return the requests that a frozen container held until it went on."""
    thawed_s = _thawed_s(event, history)
    return [each for each in history.requests if _was_held(each, event.container, thawed_s, history)]


def _was_held(request: JoinedRequest, container: str, thawed_s: float, history: ArmHistory) -> bool:
    if tries := given(request, history):
        return any(
            stay.container == container and stay.from_s < thawed_s - SOON_S < stay.to_s for stay in tries
        )
    sent_s, end_s = request.row.sent_s, request.row.end_s
    return request.container == container and sent_s < thawed_s - SOON_S and end_s >= thawed_s


def _thawed_s(event: FleetEvent, history: ArmHistory) -> float:
    ends_s = (
        each.time_s
        for each in history.facts.events
        if each.container == event.container and each.action in GOES_ON and each.time_s > event.time_s
    )
    return min(ends_s, default=history.facts.end_s)


INVARIANT = Invariant(
    id="held-by-frozen",
    title="a frozen container holds no more than its limit",
    limit=0,
    unit="{request}",
    remedy="Let the balancer count what each container has in work, and send it no more than its limit; a "
    "look at liveness is answered too late to help.",
    case="freezes in which more was sent than all containers may have in work",
    cases_needed=ENOUGH_FREEZES,
    more_cases="Freeze a container while the load lasts, for longer, or send more.",
    examine=_examine,
)
