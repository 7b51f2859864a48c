"""No two containers draw the same ids: those that begin as copies of one snapshot do.

Looked for are an instance id that two processes have at once, an id of a request's span that another trace
has again, and two spans of one trace under one id.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.observe.evidence import CONTAINERS
from harness.observe.gathering import ObservedHistory

ENOUGH_REQUESTS: Final = 30
"""Copies draw the same id at the same draw: some of their first ones meet."""
SEVERAL: Final = 2


def _examine(case: Case) -> Finding:
    history = case.history
    if not isinstance(history, ObservedHistory):
        return no_data("these are no spans of a store")
    worked = [each for each in history.requests if each.server is not None and each.container]
    containers = {each.container for each in worked}
    drawn = Counter(each.server.span_id for each in worked if each.server is not None)
    again = [each for each in worked if each.server is not None and drawn[each.server.span_id] > 1]
    found = len(history.same_ids) + len(history.clashes) + sum(count > 1 for count in drawn.values())
    named = f", such as {' and '.join(history.same_ids[0])}" if history.same_ids else ""
    return Finding(
        holds=found <= case.limit,
        observed=float(found),
        message=(
            f"{len(containers)} containers: {len(history.same_ids)} pairs have one instance id{named}; "
            f"{sum(count > 1 for count in drawn.values())} ids of requests' spans and "
            f"{len(history.clashes)} within a trace were drawn twice"
        ),
        traces=worst([*(each.row.trace_id for each in again), *history.clashes]),
        cases=len(worked) if len(containers) >= SEVERAL or found else 0,
    )


INVARIANT = Invariant(
    id="ids-unique",
    title="no two containers draw the same ids",
    limit=0,
    unit="{id}",
    remedy="Seed random generators, and make instance ids, after a snapshot is restored and after a fork.",
    case="requests, where there are several containers",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Look at a longer time.",
    examine=_examine,
    of_spans=True,
    needs=(CONTAINERS,),
)
