"""No container has model calls open for more requests than its limit: the limit, seen from outside."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import WHOSE_CALLS
from harness.judge.fullness import met_a_full_one_from_outside
from harness.judge.levels import open_calls

ENOUGH_REQUESTS = 8
"""As many as a burst of twice the slots leaves over, with two containers of four: each of them finds the
limit, or breaks it. A limit is one comparison, not a chance."""


def _examine(case: Case) -> Finding:
    limit = case.history.facts.concurrency_limit
    levels = [level for each in open_calls(case.history).values() for level in each]
    most = max((level.count for level in levels), default=0)
    message = f"at most {most} requests of one container had a model call open at once, its limit is {limit}"
    if not levels:
        return no_data("no model call is known to be of a request and a container")
    over = sorted((level for level in levels if level.count > limit), key=lambda level: -level.count)
    return Finding(
        holds=most - limit <= case.limit,
        observed=float(max(0, most - limit)),
        message=message if most >= limit else f"{message}: the limit was never reached",
        cases=met_a_full_one_from_outside(case.history),
        traces=worst(level.trace for level in over),
    )


INVARIANT = Invariant(
    id="calls-within-limit",
    title="requests at the model above the container's limit",
    limit=0,
    unit="{request}",
    remedy="Refuse with a 503 at the limit, before the request is read (the busy-signal pattern).",
    case="requests that came, or waited, while a container was full",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more at once: twice the slots; or say its own limit in concurrency_limit.",
    examine=_examine,
    clocks=True,
    of_calls=True,
    needs=(WHOSE_CALLS,),
)
