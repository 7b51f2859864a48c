"""Where each check has to hold, and where a control arm shows that it can fail."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.records.spec import ExperimentSpec

CAUGHT_NOWHERE: Mapping[str, str] = MappingProxyType(
    {
        "joined-share": "no agent is at fault when a balancer forgets one, and ours does not: "
        "tests/mutations tampers with a saved run",
        "kills-done": "a precondition, not a claim: with too few kills an experiment has shown nothing",
        "removals-done": "a precondition, not a claim: where those that leave had nothing to do, likewise",
    }
)
"""Why no control arm of the catalogue catches these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An arm of an experiment; `quick` is whether the short form has it."""

    experiment: str
    arm: str
    quick: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCoverage:
    """Where a check is made.

    Attributes:
        check: its id.
        held: the arms in which it must hold.
        caught: the control arms in which it must be found failing.
        uncaught: why there are none of these; None where there are, and where no experiment has the check.
    """

    check: str
    held: tuple[Place, ...]
    caught: tuple[Place, ...]
    uncaught: str | None = None


def coverage(checks: Collection[str], specs: Iterable[ExperimentSpec]) -> list[CheckCoverage]:
    """Say of each check where some experiments make it.

    Args:
        checks: ids, all that there are.
        specs: as they are written.
    """
    held: dict[str, list[Place]] = {check: [] for check in checks}
    caught: dict[str, list[Place]] = {check: [] for check in checks}
    for spec in specs:
        for check in spec.checks:
            for found, arms in ((held, check.holds_in), (caught, check.caught_in)):
                found[check.id] += [
                    Place(experiment=spec.name, arm=arm, quick=_is_quick(spec, arm, check.versus))
                    for arm in arms
                ]
    return [
        CheckCoverage(
            check=check,
            held=tuple(dict.fromkeys(held[check])),
            caught=tuple(dict.fromkeys(caught[check])),
            uncaught=CAUGHT_NOWHERE.get(check) if held[check] and not caught[check] else None,
        )
        for check in sorted(checks)
    ]


def _is_quick(spec: ExperimentSpec, arm: str, versus: str | None) -> bool:
    return not {arm, versus} & set(spec.quick.without)
