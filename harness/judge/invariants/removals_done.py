"""The experiment happened: containers were taken away while they worked.

Where a fleet shrinks that has nothing to do, nothing is to be learnt of what becomes of requests in work.
What was not put to the test says nothing against an agent.
"""

from __future__ import annotations

from harness.judge.at_work import met_at_work
from harness.judge.case import Case, Finding, Invariant

REMEDY = "Give the containers more to do when they are taken away: slower answers, or a higher rate."


def _examine(case: Case) -> Finding:
    return met_at_work(case, "remove", "taken away", REMEDY)


INVARIANT = Invariant(
    id="removals-done",
    title="containers were taken away at work",
    limit=1,
    unit="{removal}",
    remedy=REMEDY,
    case="removals",
    cases_needed=1,
    more_cases="Take a container away while the load lasts.",
    examine=_examine,
    clocks=True,
)
