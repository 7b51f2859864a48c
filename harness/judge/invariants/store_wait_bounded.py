"""No request waits for its store longer than its own deadline.

A client of a store without a time limit waits as long as the weather lasts, and holds its slot meanwhile: a
container that is full of such requests is down, though its process lives. The limit is the deadline that the
experiment gives its requests, and a second for their way. Looked at are those that were in work while there
was weather, or were sent within five seconds after it, or over whose container's connections nothing passed
any more: one that went mute is used later. What a request waits in the balancer until a container has a slot
is no wait for the store: where the balancer or a container tells of it by a span, it is asked how long the
request was there, and of several containers that it was given to, in each. Who was given up by a caller after
that caller's own patience would have waited on: that is too long, whatever the limit.
"""

from __future__ import annotations

from dataclasses import replace

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.stays import stays
from harness.judge.weather import RECOVERY_S, befell, in_weather, weathers
from harness.records.history import ArmHistory, JoinedRequest
from harness.records.setup import Window

ENOUGH_REQUESTS = 10
"""Weather that lasts longer than a deadline befalls all that are in work: one tells."""
MUTES = ("half_open", "partition")
"""After these, connections that were open stay so, and nothing passes over them ever again."""
TIMEOUT = "timeout"
"""How a request ends that its caller gives up."""


def _examine(case: Case) -> Finding:
    history = case.history
    mute = _mute(history)
    met = [each for each in history.requests if _met(each, history, mute)]
    if not met:
        return no_data("no request met any weather")
    took = {each.row.trace_id: _took_s(each, history) for each in met}
    given_up = {each.row.trace_id for each in met if _was_given_up(each, history)}
    over = sorted(
        (trace for trace, each_s in took.items() if each_s > case.limit or trace in given_up),
        key=lambda t: -took[t],
    )
    longest_s = max(took.values())
    return Finding(
        holds=not over,
        observed=longest_s,
        message=f"of {len(met)} requests that met it, {len(over)} took longer than {case.limit:g} s, the "
        f"longest {longest_s:.1f} s" + (f"; {len(given_up)} were given up" if given_up else ""),
        traces=worst(over),
        cases=len(met),
    )


def _met(request: JoinedRequest, history: ArmHistory, mute: tuple[Window, ...]) -> bool:
    """Whether one of the containers that it was given to had weather then, or a connection that is mute."""
    whose = {request.container, *(stay.container for stay in stays(request, history))}
    at_s = request.row.sent_s - history.facts.start_s
    return in_weather(request, history, RECOVERY_S, whose) or any(
        window.from_s <= at_s < window.to_s and window.container in whose for window in mute
    )


def _mute(history: ArmHistory) -> tuple[Window, ...]:
    """Return from when to when each connection that went mute was open."""
    facts = history.facts
    found = []
    for window in weathers(history):
        kind, _, target = window.name.removesuffix(")").partition(" (")
        for each in facts.connections if kind in MUTES else ():
            closed_s = facts.end_s if each.closed_s is None else each.closed_s
            from_s, to_s = (time_s - facts.start_s for time_s in (each.opened_s, closed_s))
            mine = each.target == (target or "store") and befell(window, each.container)
            if mine and from_s < window.to_s and to_s > window.from_s:
                found.append(replace(window, container=each.container, to_s=to_s))
    return tuple(found)


def _took_s(request: JoinedRequest, history: ArmHistory) -> float:
    row = request.row
    return max((stay.lasted_s for stay in stays(request, history)), default=row.end_s - row.sent_s)


def _was_given_up(request: JoinedRequest, history: ArmHistory) -> bool:
    """Whether its caller gave it up in a container, or where nobody tells where it was."""
    queued = any(span.service == contract.SERVICE_ENVOY for span in request.spans)
    return request.row.error_type == TIMEOUT and (bool(stays(request, history)) or not queued)


INVARIANT = Invariant(
    id="store-wait-bounded",
    title="no request waits for the store beyond its deadline",
    limit=61,
    unit="s",
    timing=True,
    remedy="Give each command of the store a time limit, and let the request's deadline cancel it.",
    case="requests that met weather",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Let the weather last longer, or send more.",
    examine=_examine,
)
