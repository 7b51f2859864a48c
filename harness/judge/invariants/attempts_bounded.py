"""No model call is tried more often than the policy allows, nor when its request is answered already.

A request that is sent again, as its container was killed, may be tried as often in the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness import contract
from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst
from harness.judge.evidence import MODEL_CALLS, WHOSE_CALLS
from harness.judge.loops import loops
from harness.records.history import MENDABLE, JoinedRequest, calls
from harness.records.seen import JournalRow

ENOUGH_CALLS = 3
"""The bound is one number in the code, the same for each call that goes on failing. Those that are answered
before it show nothing, and are not counted."""
NOT_ITS_ANSWER = {0, 504}
"""How a request ends whose caller had enough of it, or whose balancer had."""
LATE_S = 0.2
"""An attempt that is noted so long after the answer was not under way when it went out, on a busy machine
either. Who goes on with a loop waits its backoff, and tries again later than that."""


def _examine(case: Case) -> Finding:
    groups = loops(case.history)
    if not groups:
        return no_data("the simulator received no call")
    over = sorted((group for group in groups if len(group) > case.limit), key=len, reverse=True)
    most = float(max(len(group) for group in groups))
    given_up = [group for group in groups if all(row.fault_class in MENDABLE for row in group)]
    ended = {id(group) for group in (*given_up, *over)}
    late = [row for request in case.history.requests for row in _after_the_answer(request)]
    found = at_most(
        case,
        most,
        f"{len(given_up)} of {len(groups)} calls were given up; attempts of one call, at the most",
        worst([*(group[0].trace_id for group in over), *(row.trace_id for row in late)]),
        cases=len(ended),
    )
    if not late:
        return found
    told = contract.SERVICE_SIMULATOR not in case.history.clocks  # else when they came is not known
    return replace(
        found,
        holds=False if told else found.holds and None,
        message=f"{found.message}; {len(late)} attempts came after their request had its answer",
        cases=len(ended) + len({row.trace_id for row in late}),
    )


def _after_the_answer(request: JoinedRequest) -> Iterator[JournalRow]:
    """Yield the retries that came when the container's answer was out: nobody is there to hear of them.

    The first attempt of another call is no retry: an agent may go on with other work. Nor can it know of a
    caller who left, or whom the balancer answered.
    """
    if request.row.status in NOT_ITS_ANSWER or request.row.left or request.container is None:
        return
    done_s = max(request.row.end_s, request.done_s or 0.0)
    for call in calls(request.journal):
        if call[0].time_s <= request.row.end_s:
            yield from (row for row in call[1:] if row.time_s > done_s + LATE_S)


INVARIANT = Invariant(
    id="attempts-bounded",
    title="attempts per model call",
    limit=3,
    unit="{attempt}",
    remedy="Turn off the SDK's own retries: two retry loops multiply. And end the loop with its request.",
    case="calls that were given up, or tried more often than that",
    cases_needed=ENOUGH_CALLS,
    more_cases="Serve a fault for longer than all attempts last: a call that is answered shows no bound.",
    examine=_examine,
    of_calls=True,
    needs=(MODEL_CALLS, WHOSE_CALLS),
)
