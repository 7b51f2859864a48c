"""TCP connections to the model do not grow with requests.

A pool opens as many as it has calls at once, early on, and then uses them again. So only the later
half of the calls is looked at: what share of them came over a new connection, those that replace one
that was cut left out. A shared client has next to none, a client per request one a request.
"""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import MODEL_CALLS

ENOUGH_CALLS = 50
"""With fewer, a share of a tenth is a handful of connections."""


def _examine(case: Case) -> Finding:
    journal = case.history.journal
    if not journal:
        return no_data("the simulator received no call")
    half = len(journal) // 2
    earlier, later = journal[:half], journal[half:]
    known = {row.connection for row in earlier}
    opened = {row.connection: row for row in reversed(later) if row.connection not in known}
    cut = sum(row.status == 0 or row.client_gone for row in journal)
    share = max(0, len(opened) - cut) / len(later)
    return Finding(
        holds=share <= case.limit,
        observed=share,
        message=(
            f"{len(known) + len(opened)} connections for {len(journal)} model calls, {cut} cut; the later "
            f"half of the calls opened {len(opened)}: {share:.1%} without need, limit {case.limit:.1%}"
        ),
        traces=worst(row.trace_id for row in opened.values()),
        cases=len(later),
    )


INVARIANT = Invariant(
    id="connections-bounded",
    title="connections to the model do not grow with requests",
    limit=0.1,
    unit="1",
    remedy="Share one client per container, and read streamed answers to their end.",
    case="calls in the later half, each of which could have opened a connection",
    cases_needed=ENOUGH_CALLS,
    more_cases="Send more requests.",
    examine=_examine,
    needs=(MODEL_CALLS,),
)
