"""All checks that there are: ours, and those that installed packages add as `agentrig.checks`."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Final, get_type_hints

from pydantic import TypeAdapter, ValidationError

from harness.judge.case import Case, Finding, Invariant
from harness.judge.invariants import REGISTRY
from harness.outside.plugins import Extended, Origin, PluginError

GROUP: Final = "agentrig.checks"


def taken(found: Any, origin: Origin) -> Invariant:
    """Return a check of another package that can bring nothing down, and is never green by mistake.

    Raises:
        TypeError: it is none.
        ValueError: it is one that would not do.
    """
    if not isinstance(found, Invariant):
        msg = f"is no check: it is of type {type(found).__name__}, not harness.judge.case.Invariant"
        raise TypeError(msg)
    if (wrong := _wrong_in(found)) is not None:
        msg = f"is no check: {wrong}"
        raise ValueError(msg)
    if found.id != origin.name:
        msg = f"is the check {found.id!r}: name its entry point so"
        raise ValueError(msg)
    if found.cases_needed < 1 or not math.isfinite(found.limit):
        msg = "needs no tested case, or has no limit: cases_needed is 1 or more, limit a finite number"
        raise ValueError(msg)
    examine = origin.guarded(found.examine, "the check")

    def examined(case: Case) -> Finding:
        try:
            return _sound(examine(case), origin)
        except PluginError as error:
            return Finding(holds=None, observed=None, message=f"not judged: {error}")

    return dataclasses.replace(found, examine=examined)


def _sound(finding: Any, origin: Origin) -> Finding:
    """Return what a check found.

    Raises:
        PluginError: it is nothing that a check may find.
    """
    if not isinstance(finding, Finding):
        raise origin.broken(f"returned {type(finding).__name__} from the check, not a Finding")
    if (wrong := _wrong_in(finding)) is not None:
        raise origin.broken(f"returned a wrong Finding from the check: {wrong}")
    if finding.observed is not None and not math.isfinite(finding.observed):
        raise origin.broken(f"found {finding.observed} in the check, which is no figure")
    if finding.holds is not None and finding.observed is None:
        raise origin.broken("found a verdict without the figure that it rests on (observed)")
    return finding


def _wrong_in(record: Finding | Invariant) -> str | None:
    """Say which field of a record has another type than it should; None for none: Python looks at none."""
    for name, kind in get_type_hints(type(record)).items():
        try:
            TypeAdapter(kind).validate_python(getattr(record, name), strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            return f"{'.'.join(map(str, (name, *first['loc'])))}: {first['msg']}"
    return None


CHECKS: Final[Extended[Invariant]] = Extended(GROUP, REGISTRY, taken)
