"""The experiment happened: containers were killed while they worked."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.records.history import ArmHistory
from harness.records.seen import JournalRow
from harness.records.setup import FleetEvent

NOTICED_S = 1.0
"""A model API sees within so long that its caller is gone."""


def _examine(case: Case) -> Finding:
    kills = [event for event in case.history.facts.events if event.action == "kill"]
    if not kills:
        return no_data("no container was killed")
    given_up = {kill.time_s: _given_up(kill, case.history) for kill in kills}
    met = sum(map(bool, given_up.values()))
    calls = [row for rows in given_up.values() for row in rows]
    return Finding(
        holds=met >= case.limit,
        observed=float(met),
        message=f"{len(kills)} containers killed, {met} of them at work: "
        f"{len(calls)} model calls were given up",
        traces=worst(row.trace_id for row in calls),
        cases=len(kills),
    )


def _given_up(kill: FleetEvent, history: ArmHistory) -> list[JournalRow]:
    """Return the model calls whose caller was gone right after a kill."""
    return [row for row in history.journal if row.client_gone and 0 <= row.end_s - kill.time_s <= NOTICED_S]


INVARIANT = Invariant(
    id="kills-done",
    title="containers were killed at work",
    limit=20,
    unit="{kill}",
    remedy="Kill more often, or give the containers more to do: slower answers, or a higher rate.",
    case="kills",
    cases_needed=1,
    more_cases="Kill a container while the load lasts.",
    examine=_examine,
    instants=True,
    clocks=True,
)
