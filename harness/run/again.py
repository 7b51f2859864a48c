"""An arm that the machine got in the way of is run once more.

A neighbour that wakes up for a second makes one arm of forty late, and the whole run *unknown*. Whether that
happened is read from the load's own lateness and from what others used, never from how the agent did; and
only where a verdict rests on it. What fell short in spite of that stays: another go could come out well, and
nobody would hear of the first. A machine that the run itself filled would be as full again, and one that is
busy all the time stays so: no more than a few arms of a run get another go, and each one that did says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from harness.analysis.summary import late_load
from harness.judge.case import Invariant
from harness.judge.installed import CHECKS
from harness.judge.verdict import neighbours
from harness.machine import SATURATED
from harness.records.outcome import ArmSummary, CheckResult, Outcome
from harness.records.spec import ExperimentSpec

MOST: Final = 2
MOST_QUICK: Final = 1
"""So many arms of a run, and of a quick one, are run again."""


def most(*, quick: bool) -> int:
    """Return how many arms of a run get another go at the most."""
    return MOST_QUICK if quick else MOST


def spoiled(
    spec: ExperimentSpec,
    arm: str,
    summary: ArmSummary,
    checks: Sequence[CheckResult],
    registry: Mapping[str, Invariant] = CHECKS,
) -> str | None:
    """Return what got in the way of an arm, where a verdict can't be given for it.

    Args:
        spec: its experiment.
        arm: its name.
        summary: of it.
        checks: of this arm, as far as they can be judged before others have run.
        registry: the invariants by the ids of checks.

    Returns:
        A part of a sentence; None when nothing did, no verdict rests on it, one fell short all the same, or
        another go would be no better.
    """
    if summary.cpu_utilisation is not None and summary.cpu_utilisation > SATURATED:
        return None
    said = late_load(summary.lateness_p99_ms, summary.p99_ms) or neighbours(arm, summary)
    if said is None or any(check.verdict is Outcome.FAIL for check in checks):
        return None
    undecided = any(check.verdict is Outcome.UNKNOWN and said in check.message for check in checks)
    others_rest_on_it = any(
        check.versus == arm and (registry[check.id].timing or registry[check.id].instants)
        for check in spec.checks
    )
    return said if undecided or others_rest_on_it else None
