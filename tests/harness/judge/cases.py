"""One arm as an invariant is given it, and what it finds."""

from harness.analysis.summary import summarise
from harness.judge.case import Case, Finding
from harness.judge.invariants import REGISTRY
from tests.harness.histories import Arm


def find(name: str, arm: Arm, *, versus: Arm | None = None, limit: float | None = None) -> Finding:
    """Let an invariant look at an arm, with its own limit by default."""
    invariant = REGISTRY[name]
    history = arm.history()
    case = Case(
        history=history,
        summary=summarise(history),
        versus=summarise(versus.history()) if versus else None,
        limit=invariant.limit if limit is None else limit,
    )
    return invariant.examine(case)
