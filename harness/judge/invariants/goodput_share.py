"""What the quota lets through is used for answers."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.evidence import WHOSE_CALLS
from harness.records.history import calls

ENOUGH_CALLS = 30
"""Giving up on one in ten of those turned away is seen in 96 of 100 runs."""
MOST = 1.05
"""More than all that was possible is a wrong measure; a little more comes of when the load is said to end."""


def _examine(case: Case) -> Finding:
    if case.history.joins.ambiguous:
        return no_data("what is one call can't be told")
    share = case.summary.goodput_share
    if share is None:
        return no_data("the simulator had no quota, or no call could have succeeded")
    if share > MOST:
        return no_data(
            f"{share:.0%} of what the quota left possible succeeded: it is not the quota that was told"
        )
    return Finding(
        holds=share >= case.limit,
        observed=share,
        message=f"{share:.1%} of the calls that quota and arrivals left possible succeeded, at least "
        f"{case.limit:.1%} should",
        cases=sum(
            any(row.fault_class == "transient" for row in call) for call in calls(case.history.journal)
        ),
    )


INVARIANT = Invariant(
    id="goodput-share",
    title="the quota is used for answers",
    limit=0.9,
    unit="1",
    timing=True,
    remedy="Calls are given up that a retry would save, or retries use the quota up: look at the attempts.",
    case="model calls that were turned away at least once",
    cases_needed=ENOUGH_CALLS,
    more_cases="Serve faults, or send more than the quota gives: nothing else is ever given up.",
    examine=_examine,
    of_calls=True,
    needs=(WHOSE_CALLS,),
)
