"""Nothing that was said in one conversation is known in another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import RECALL
from harness.records.sent import RequestRow

ENOUGH_ANSWERS = 30
"""A leak into one answer of ten is missed in 4 of 100 runs."""


def _examine(case: Case) -> Finding:
    rows = [request.row for request in case.history.requests]
    tellers = {row.canary: row for row in rows if row.canary is not None}
    recalling = [row for row in rows if any(word in tellers for word in row.recalled)]
    if not recalling or len({row.session_id for row in tellers.values()}) <= 1:
        return no_data("no two conversations told a canary word, or no answer recalls one")
    leaks = [
        (row, tellers[word])
        for row in recalling
        for word in dict.fromkeys(row.recalled)
        if word in tellers and tellers[word].session_id != row.session_id
    ]
    leaking = {row.index for row, _ in leaks}
    first_told_s = _first_told_s(tellers.values())
    return Finding(
        holds=len(leaking) <= case.limit,
        observed=float(len(leaking)),
        message=f"{len(leaking)} of {len(recalling)} answers have a word that another conversation told",
        traces=worst(row.trace_id for pair in leaks for row in pair),
        cases=sum(_could_leak(row, first_told_s) for row in recalling),
    )


def _first_told_s(tellers: Iterable[RequestRow]) -> Mapping[str, float]:
    """Return when each of the two conversations that began first told a word: of two, one is another's."""
    first_s: dict[str, float] = {}
    for row in tellers:
        first_s[row.session_id] = min(row.sent_s, first_s.get(row.session_id, math.inf))
    return dict(sorted(first_s.items(), key=lambda each: each[1])[:2])


def _could_leak(row: RequestRow, first_told_s: Mapping[str, float]) -> bool:
    """Whether another conversation had told a word before its answer was there."""
    return any(session != row.session_id and told_s < row.end_s for session, told_s in first_told_s.items())


INVARIANT = Invariant(
    id="no-leak",
    title="no conversation leaks into another",
    limit=0,
    unit="{answer}",
    remedy="Build the Agent in the request's handler, with the messages of its own session alone. Of the "
    "traces, the first is the answer and the second the request whose word it has.",
    case="answers that recall a word, after another conversation told one",
    cases_needed=ENOUGH_ANSWERS,
    more_cases="Let each answer hold the words of its conversation, and send more.",
    examine=_examine,
    needs=(RECALL,),
)
