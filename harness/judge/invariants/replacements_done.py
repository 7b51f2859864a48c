"""The experiment happened: containers were replaced while they worked.

Of a rolling update that came to its end before the load did, or found the containers idle, nothing is to be
learnt of what becomes of requests in work. They are taken from the balancers' list first, and told to stop
only then: what counts is what is in work at that moment. What was not put to the test says nothing against an
agent.
"""

from __future__ import annotations

from harness.judge.at_work import met_at_work
from harness.judge.case import Case, Finding, Invariant

REMEDY = "Let the load last longer, or give the containers more to do: slower answers, or a higher rate."


def _examine(case: Case) -> Finding:
    return met_at_work(case, "replace", "replaced", REMEDY)


INVARIANT = Invariant(
    id="replacements-done",
    title="containers were replaced at work",
    limit=4,
    unit="{replacement}",
    remedy=REMEDY,
    case="replacements",
    cases_needed=1,
    more_cases="Replace the containers while the load lasts.",
    examine=_examine,
    clocks=True,
)
