"""No request waits for its store longer than its own deadline.

A client of a store without a time limit waits as long as the weather lasts, and holds its slot meanwhile: a
container that is full of such requests is down, though its process lives. The limit is the deadline that the
experiment gives its requests, and a second for their way. Looked at are those that were in work while there
was weather, or were sent within five seconds after it: a connection that went mute is used then. What a
request waits in the balancer until a container has a slot is no wait for the store: where a container tells
of it by a span, it is asked how long it was there.
"""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.weather import RECOVERY_S, in_weather
from harness.records.history import JoinedRequest

ENOUGH_REQUESTS = 10
"""Weather that lasts longer than a deadline befalls all that are in work: one tells."""


def _examine(case: Case) -> Finding:
    met = [each for each in case.history.requests if in_weather(each, case.history, RECOVERY_S)]
    if not met:
        return no_data("no request met any weather")
    took = {each.row.trace_id: _took_s(each) for each in met}
    over = sorted((trace for trace, each_s in took.items() if each_s > case.limit), key=lambda t: -took[t])
    longest_s = max(took.values())
    return Finding(
        holds=not over,
        observed=longest_s,
        message=f"of {len(met)} requests that met it, {len(over)} took longer than {case.limit:g} s, the "
        f"longest {longest_s:.1f} s",
        traces=worst(over),
        cases=len(met),
    )


def _took_s(request: JoinedRequest) -> float:
    row = request.row
    return row.end_s - row.sent_s if request.server is None else request.server.duration_s


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
