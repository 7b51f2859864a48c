"""The traces of requests are whole: no span of a request is below one that is not there."""

from __future__ import annotations

from typing import Final

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.observe.gathering import ObservedHistory, kind_of
from harness.records.history import grouped

ENOUGH_REQUESTS: Final = 100
"""Of these, one may lack something by the limit."""
USUAL: Final = 0.9
"""What so large a share of the successes of one kind has, the others of that kind should have as well."""


def _examine(case: Case) -> Finding:
    history = case.history
    worked = [each for each in history.requests if each.server is not None]
    if not worked or not isinstance(history, ObservedHistory):
        return no_data("no span of a request was seen")
    # a page, or a list of sessions, is no request that lacks its Agent
    good = grouped((each for each in worked if each.row.ok), kind_of)
    usual = {
        kind
        for kind, mine in good.items()
        if sum(bool(each.invocations) for each in mine) >= USUAL * len(mine)
    }
    lacking = [
        each
        for each in worked
        if history.orphans.get(each.row.trace_id)
        or (each.row.ok and not each.invocations and kind_of(each) in usual)
    ]
    share = len(lacking) / len(worked)
    return Finding(
        holds=share <= case.limit,
        observed=share,
        message=f"{len(lacking)} of {len(worked)} traces of requests lack spans, limit {case.limit:.1%}",
        traces=worst(each.row.trace_id for each in lacking),
        cases=len(worked),
    )


INVARIANT = Invariant(
    id="traces-whole",
    title="traces are whole",
    limit=0.01,
    unit="1",
    remedy="Look for export errors in the agents' logs, flush at shutdown, and sample whole traces.",
    case="requests that a container worked on",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Look at a longer time.",
    examine=_examine,
)
