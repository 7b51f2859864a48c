"""No model call is tried more often than the policy allows."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst
from harness.judge.evidence import MODEL_CALLS
from harness.records.history import calls


def _examine(case: Case) -> Finding:
    groups = calls(case.history.journal)
    if not groups:
        return no_data("the simulator received no call")
    over = sorted((group for group in groups if len(group) > case.limit), key=len, reverse=True)
    most = float(max(len(group) for group in groups))
    return at_most(
        case, most, "attempts of one call, at the most", worst(group[0].trace_id for group in over)
    )


INVARIANT = Invariant(
    id="attempts-bounded",
    title="attempts per model call",
    limit=3,
    unit="{attempt}",
    remedy="Turn off the SDK's own retries: two retry loops multiply.",
    examine=_examine,
    needs=(MODEL_CALLS,),
)
