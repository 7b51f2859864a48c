"""No retries are hidden: none that the agent does not count, and no loop of an SDK inside another one."""

from __future__ import annotations

from collections import Counter
from typing import Final

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.observe.calls import LOOPS
from harness.observe.evidence import ATTEMPTS, MODEL_CALLS
from harness.records.history import MENDABLE

ENOUGH_CALLS: Final = 8
"""A loop below the one that is seen takes part in each failure; where only half of them start it, eight calls
leave it unmet in 4 of 1,000 looks."""


def _examine(case: Case) -> Finding:
    tried = Counter(row.call_id for row in case.history.journal)
    failed = {row.call_id for row in case.history.journal if row.fault_class in MENDABLE}
    if not tried:
        return no_data("no model call was seen")
    nested, uncounted = list[str](), list[str]()
    for request in case.history.requests:
        for call in request.model_calls:
            loops, counted = call.attributes.get(LOOPS), call.attributes.get(contract.RETRY_ATTEMPTS)
            if isinstance(counted, int) and tried[call.span_id] > counted:
                uncounted.append(request.row.trace_id)
            elif isinstance(loops, int) and loops > 1:
                nested.append(request.row.trace_id)
    found = len(nested) + len(uncounted)
    return Finding(
        holds=found <= case.limit,
        observed=float(found),
        message=(
            f"{len(failed)} calls met trouble that a retry may mend: in {len(nested)} two retry loops took "
            f"part, one inside the other, and {len(uncounted)} were tried more often than the agent counts"
        ),
        traces=worst([*uncounted, *nested]),
        cases=len(failed),
    )


INVARIANT = Invariant(
    id="hidden-retries",
    title="no retries are hidden",
    limit=0,
    unit="{call}",
    remedy="Turn off the SDK's own retries (`max_retries=0`) where the agent or its framework tries again.",
    case="model calls that met trouble which a retry may mend",
    cases_needed=ENOUGH_CALLS,
    more_cases="Look at a time with errors of the model API.",
    examine=_examine,
    of_spans=True,
    needs=(MODEL_CALLS, ATTEMPTS),
)
