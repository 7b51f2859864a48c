"""No container has model calls open for more requests than its limit: the limit, seen from outside."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import WHOSE_CALLS
from harness.judge.levels import open_calls


def _examine(case: Case) -> Finding:
    limit = case.history.facts.concurrency_limit
    levels = [level for each in open_calls(case.history).values() for level in each]
    most = max((level.count for level in levels), default=0)
    message = f"at most {most} requests of one container had a model call open at once, its limit is {limit}"
    if most < limit:
        return no_data(f"{message}: it was never seen full; say its own limit in concurrency_limit")
    over = sorted((level for level in levels if level.count > limit), key=lambda level: -level.count)
    return Finding(
        holds=most - limit <= case.limit,
        observed=float(most - limit),
        message=message,
        traces=worst(level.trace for level in over),
    )


INVARIANT = Invariant(
    id="calls-within-limit",
    title="requests at the model above the container's limit",
    limit=0,
    unit="{request}",
    remedy="Refuse with a 503 at the limit, before the request is read (the busy-signal pattern).",
    examine=_examine,
    needs=(WHOSE_CALLS,),
)
