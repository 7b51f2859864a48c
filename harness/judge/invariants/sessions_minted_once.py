"""No two copies of one snapshot give their callers the same session.

A caller that names no session is given one. Copies that draw its id from a generator of the snapshot give the
same id to different callers: from then on, one reads what the other said.
"""

from __future__ import annotations

from math import ceil

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.evidence import HOOKED, MINTED
from harness.judge.weather import UNHOOKED, copied
from harness.records.history import grouped

ENOUGH_SESSIONS = 8
"""Two of each of four copies, and no more of one count: of one that made none, nothing is known. Drawn from
one state, the first are the same already."""


def _examine(case: Case) -> Finding:
    copies = case.history.facts.restored
    made = [(session, copy.container) for copy in copies for session in copy.sessions]
    if not made:
        return no_data("no restored container made the id of a session")
    if not copied(case.history):
        return no_data(UNHOOKED)
    twice = {session: whose for session, whose in grouped(made, lambda it: it[0]).items() if len(whose) > 1}
    first = next(iter(twice.values()), [])
    of_each = ceil(ENOUGH_SESSIONS / len(copies))
    named = f", one of them by {' and '.join(sorted({name for _, name in first}))}" if first else ""
    return Finding(
        holds=len(twice) <= case.limit,
        observed=float(len(twice)),
        message=f"{len(made)} ids of sessions were made by {len(copies)} copies: {len(twice)} more than "
        f"once{named}",
        cases=sum(min(len(copy.sessions), of_each) for copy in copies),
        expected=of_each * len(copies),
    )


INVARIANT = Invariant(
    id="sessions-minted-once",
    title="no session id is made twice",
    limit=0,
    unit="{session}",
    remedy="Draw the ids of sessions from the system at each use: `secrets.token_hex`, `uuid.uuid4`.",
    case="ids of sessions that restored containers made, a few of each",
    cases_needed=ENOUGH_SESSIONS,
    more_cases="Ask more restored containers without a session.",
    examine=_examine,
    needs=(HOOKED, MINTED),
)
