"""No model call is tried more often than the policy allows."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst
from harness.judge.evidence import MODEL_CALLS, WHOSE_CALLS
from harness.records.history import MENDABLE, calls

ENOUGH_CALLS = 3
"""The bound is one number in the code, the same for each call that goes on failing. Those that are answered
before it show nothing, and are not counted."""


def _examine(case: Case) -> Finding:
    groups = calls(case.history.journal)
    if not groups:
        return no_data("the simulator received no call")
    over = sorted((group for group in groups if len(group) > case.limit), key=len, reverse=True)
    most = float(max(len(group) for group in groups))
    given_up = [group for group in groups if all(row.fault_class in MENDABLE for row in group)]
    ended = {id(group) for group in (*given_up, *over)}
    return at_most(
        case,
        most,
        f"{len(given_up)} of {len(groups)} calls were given up; attempts of one call, at the most",
        worst(group[0].trace_id for group in over),
        cases=len(ended),
    )


INVARIANT = Invariant(
    id="attempts-bounded",
    title="attempts per model call",
    limit=3,
    unit="{attempt}",
    remedy="Turn off the SDK's own retries: two retry loops multiply.",
    case="calls that were given up, or tried more often than that",
    cases_needed=ENOUGH_CALLS,
    more_cases="Serve a fault for longer than all attempts last: a call that is answered shows no bound.",
    examine=_examine,
    of_calls=True,
    needs=(MODEL_CALLS, WHOSE_CALLS),
)
