"""No retry comes before the server asked for it.

Whoever was told is who has to wait: not who gave up waiting for an answer, nor who sent a second attempt
beside the first, before any came. Nor another container that is given the request meanwhile, nor a model API
of another protocol that is asked in its place.
"""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import MODEL_CALLS, WHOSE_CALLS
from harness.judge.loops import loops, retries

TOLERANCE_S = 0.020
"""A client's timer may fire a moment early, and its clock may run a little faster than the simulator's. Who
ignores Retry-After is early by tenths of a second."""

ENOUGH_RETRIES = 8
"""A client reads Retry-After, or it does not. Where it does not, its own backoff may be as long by chance: if
it is so two times of three, eight retries hide it in 4 of 100 runs."""


def _examine(case: Case) -> Finding:
    told = [
        (later.time_s - earlier.over_s - earlier.retry_after_s, later.trace_id)
        for group in loops(case.history)
        for _, earlier, later in retries(group)
        if earlier.retry_after_s is not None
        and not earlier.client_gone
        and earlier.protocol == later.protocol
    ]
    if not told:
        return no_data("no retry followed an answer with Retry-After")
    early = sorted(pair for pair in told if pair[0] < -TOLERANCE_S)
    share = len(early) / len(told)
    worst_ms = f"; the earliest by {-early[0][0] * 1e3:.0f} ms" if early else ""
    return Finding(
        holds=share <= case.limit,
        observed=share,
        message=f"{len(early)} of {len(told)} retries came before Retry-After was over{worst_ms}",
        traces=worst(trace for _, trace in early),
        cases=len(told),
    )


INVARIANT = Invariant(
    id="retry-after-respected",
    title="Retry-After is respected",
    limit=0.0,
    unit="1",
    remedy="Take Retry-After as the floor of the backoff; `retry-after-ms` is the finer one.",
    case="retries that were told when to come",
    cases_needed=ENOUGH_RETRIES,
    more_cases="Serve more faults with Retry-After; an agent that never retries has nothing to respect.",
    examine=_examine,
    instants=True,
    of_calls=True,
    needs=(MODEL_CALLS, WHOSE_CALLS),
)
