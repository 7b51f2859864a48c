"""Retries don't multiply the load on a model that is in trouble."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most


def _examine(case: Case) -> Finding:
    return at_most(case, case.summary.amplification, "attempts per call, on average")


INVARIANT = Invariant(
    id="amplification",
    title="retry amplification",
    limit=3.0,
    unit="1",
    remedy="Bound the attempts, and turn off hidden retries below the ones you see.",
    examine=_examine,
)
