"""Retries don't multiply the load on a model that is in trouble."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most, worst
from harness.judge.evidence import MODEL_CALLS
from harness.records.history import calls


def _examine(case: Case) -> Finding:
    retried = sorted(
        (group for group in calls(case.history.journal) if len(group) > 1), key=len, reverse=True
    )
    return at_most(
        case,
        case.summary.amplification,
        "attempts per call, on average",
        worst(group[0].trace_id for group in retried),
    )


INVARIANT = Invariant(
    id="amplification",
    title="retry amplification",
    limit=3.0,
    unit="1",
    remedy="Bound the attempts, and turn off hidden retries below the ones you see.",
    examine=_examine,
    needs=(MODEL_CALLS,),
)
