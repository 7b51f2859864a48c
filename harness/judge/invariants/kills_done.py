"""The experiment happened: containers were killed while they worked.

Too few of them say nothing against an agent: what was to be shown was not put to the test.
"""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.records.history import ArmHistory
from harness.records.seen import JournalRow
from harness.records.setup import FleetEvent

NOTICED_S = 1.0
"""A model API sees within so long that its caller is gone."""
REMEDY = "Kill more often, or give the containers more to do: slower answers, or a higher rate."


def _examine(case: Case) -> Finding:
    kills = [event for event in case.history.facts.events if event.action == "kill"]
    if not kills:
        return no_data("no container was killed")
    worked_over = _containers_of_connections(case.history)
    given_up = [_given_up(kill, case.history, worked_over) for kill in kills]
    met = sum(map(bool, given_up))
    calls = [row for rows in given_up for row in rows]
    enough = met >= case.limit
    message = f"{len(kills)} containers killed, {met} of them at work: {len(calls)} model calls were given up"
    return Finding(
        holds=True if enough else None,
        observed=float(met),
        message=message if enough else f"{message}; {case.limit:.0f} at work are needed. {REMEDY}",
        traces=worst(row.trace_id for row in calls),
        cases=len(kills),
    )


def _given_up(kill: FleetEvent, history: ArmHistory, worked_over: dict[int, set[str]]) -> list[JournalRow]:
    """Return the model calls whose caller was gone right after a kill, and was not another container."""
    return [
        row
        for row in history.journal
        if row.client_gone
        and 0 <= row.end_s - kill.time_s <= NOTICED_S
        and kill.container in worked_over.get(row.connection, {kill.container})
    ]


def _containers_of_connections(history: ArmHistory) -> dict[int, set[str]]:
    """Return which containers' answers went over each connection to the model API, where one is known.

    A request whose container died is another one's in the end: only calls that came to theirs tell.
    """
    found: dict[int, set[str]] = {}
    for request in history.requests:
        for row in request.journal:
            if request.container is not None and not row.client_gone:
                found.setdefault(row.connection, set()).add(request.container)
    return found


INVARIANT = Invariant(
    id="kills-done",
    title="containers were killed at work",
    limit=20,
    unit="{kill}",
    remedy=REMEDY,
    case="kills",
    cases_needed=1,
    more_cases="Kill a container while the load lasts.",
    examine=_examine,
    instants=True,
    clocks=True,
)
