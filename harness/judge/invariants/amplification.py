"""Retries don't multiply the load on a model that is in trouble."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most, worst
from harness.judge.evidence import MODEL_CALLS, WHOSE_CALLS
from harness.records.history import MENDABLE, calls

ENOUGH_CALLS = 30
"""Calls that are tried ten times over, where they are one in ten, are missed in 4 of 100 runs."""


def _examine(case: Case) -> Finding:
    groups = calls(case.history.journal)
    tried = sum(map(len, groups)) / len(groups) if groups else None
    retried = sorted((group for group in groups if len(group) > 1), key=len, reverse=True)
    return at_most(
        case,
        tried,
        "attempts per call, on average",
        worst(group[0].trace_id for group in retried),
        cases=sum(any(row.fault_class in MENDABLE for row in group) for group in groups),
    )


INVARIANT = Invariant(
    id="amplification",
    title="retry amplification",
    limit=3.0,
    unit="1",
    remedy="Bound the attempts, and turn off hidden retries below the ones you see.",
    case="model calls that met a fault that a retry may mend",
    cases_needed=ENOUGH_CALLS,
    more_cases="Serve faults: without one there is nothing to retry.",
    examine=_examine,
    of_calls=True,
    needs=(MODEL_CALLS, WHOSE_CALLS),
)
