"""All checks that there are: ours, and those that installed packages add as `agentrig.checks`."""

from __future__ import annotations

import dataclasses
import math
import pickle
from typing import Any, Final

from harness.judge.case import Case, Finding, Invariant
from harness.judge.invariants import REGISTRY
from harness.outside.patience import TooSlowError, no_longer_than
from harness.outside.plugins import Extended, Origin, PluginError, wrong_in

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
    if (wrong := wrong_in(found)) is not None:
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
        # What it changes of a copy changes nothing of what the other checks look at.
        own: Case = pickle.loads(pickle.dumps(case))  # noqa: S301 - it is ours, of this very moment
        try:
            with no_longer_than():
                found = examine(own)
            return _sound(found, origin)
        except (PluginError, TooSlowError) as error:
            return Finding(holds=None, observed=None, message=f"not judged: {error}")

    return dataclasses.replace(found, examine=examined)


def _sound(finding: Any, origin: Origin) -> Finding:
    """Return what a check found.

    Raises:
        PluginError: it is nothing that a check may find.
    """
    if not isinstance(finding, Finding):
        raise origin.broken(f"returned {type(finding).__name__} from the check, not a Finding")
    if (wrong := wrong_in(finding)) is not None:
        raise origin.broken(f"returned a wrong Finding from the check: {wrong}")
    for figure in (finding.observed, finding.limit):
        if figure is not None and not math.isfinite(figure):
            raise origin.broken(f"found {figure} in the check, which is no figure")
    if not finding.message.strip():
        raise origin.broken("found something in the check, and says not what (message)")
    if finding.holds is not None and finding.observed is None:
        raise origin.broken("found a verdict without the figure that it rests on (observed)")
    return finding


CHECKS: Final[Extended[Invariant]] = Extended(GROUP, REGISTRY, taken)
