"""One arm as an invariant is given it, and what it finds."""

from harness.analysis.summary import summarise
from harness.judge.case import Case, Finding, Invariant, examined
from harness.judge.invariants import REGISTRY
from tests.harness.histories import Arm


def case_of(
    name: str, arm: Arm, *, versus: Arm | None = None, limit: float | None = None
) -> tuple[Invariant, Case]:
    """Give an invariant, and an arm as it looks at it, with its own limit by default."""
    invariant = REGISTRY[name]
    history = arm.history()
    return invariant, Case(
        history=history,
        summary=summarise(history),
        versus=summarise(versus.history()) if versus else None,
        limit=invariant.limit if limit is None else limit,
    )


def judged(
    name: str, arm: Arm, *, versus: Arm | None = None, limit: float | None = None, control: bool = False
) -> Finding:
    """Let an invariant look at an arm: with too few tested cases it is unknown."""
    return examined(*case_of(name, arm, versus=versus, limit=limit), control=control)


def find(name: str, arm: Arm, *, versus: Arm | None = None, limit: float | None = None) -> Finding:
    """Let an invariant look at an arm, whatever the number of tested cases: what does it see?"""
    invariant, case = case_of(name, arm, versus=versus, limit=limit)
    return invariant.examine(case)
