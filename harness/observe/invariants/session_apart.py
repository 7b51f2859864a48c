"""No session is worked on in two containers at once: one of the two turns would be lost, or overwritten."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.levels import HANDOVER_S
from harness.observe.evidence import CONTAINERS, SESSIONS
from harness.records.history import JoinedRequest

ENOUGH_REQUESTS: Final = 30
"""Sessions of which one turn in ten meets another are missed in 4 of 100 looks."""


def _examine(case: Case) -> Finding:
    of_each: defaultdict[str, list[JoinedRequest]] = defaultdict(list)
    for each in case.history.requests:
        if each.row.session_id and each.server is not None and each.container:
            of_each[each.row.session_id].append(each)
    if not of_each:
        return no_data("no span tells its session")
    found, tested = list[str](), 0
    for mine in of_each.values():
        tested += len(mine) - 1
        ranked = sorted(mine, key=lambda each: each.taken_s or 0.0)
        last = ranked[0]
        for each in ranked[1:]:
            together = (last.done_s or 0.0) - HANDOVER_S > (each.taken_s or 0.0)
            if each.container != last.container and together:
                found += [each.row.trace_id, last.row.trace_id]
            if (each.done_s or 0.0) > (last.done_s or 0.0):
                last = each
    return Finding(
        holds=len(found) // 2 <= case.limit,
        observed=float(len(found) // 2),
        message=f"{len(of_each)} sessions: {len(found) // 2} times one was in two containers at once",
        traces=worst(found),
        cases=tested,
    )


INVARIANT = Invariant(
    id="session-apart",
    title="no session is in two containers at once",
    limit=0,
    unit="{turn}",
    remedy="Send a session's turns one after the other, or let a save fail where another came before.",
    case="turns of a session after its first",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Look at a longer time.",
    examine=_examine,
    of_spans=True,
    clocks=True,
    needs=(CONTAINERS, SESSIONS),
)
