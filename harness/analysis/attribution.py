"""Whose each model call is: by its trace, else by the word that its body carries, else nobody's.

A trace id alone says little: an agent may give each attempt a trace of its own, or carry on that of another
request. What a body says may be what several requests said. Both are looked for, and counted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from harness.records.history import CallKey, Joins, call_key, calls
from harness.records.seen import JournalRow
from harness.records.sent import RequestRow

HANDOVER_S = 0.020
"""The journal notes an answer's end a moment after the caller has it: a retry may seem to begin before."""
UNASKED = {0, 503}
"""How requests end that nobody worked on, mostly: these need not have called a model."""


def attributed(
    journal: Iterable[JournalRow], requests: Sequence[RequestRow]
) -> tuple[tuple[JournalRow, ...], Joins]:
    """Give each model call to the request that made it.

    Args:
        journal: what the simulator received, in any order.
        requests: what was sent.

    Returns:
        The calls in order of arrival, each with the trace of its request, or with none, and with its number
        among the attempts of its call; and how well they could be joined.
    """
    received = sorted(journal, key=lambda row: row.time_s)
    by_trace = {row.trace_id: row for row in requests}
    by_word = {row.canary: row for row in requests if row.canary is not None}
    traced = {row.trace_id for row in received if row.trace_id in by_trace}
    joined: list[JournalRow] = []
    doubtful: set[CallKey] = set()
    told: set[CallKey] = set()
    for row in received:
        sender, teller = by_trace.get(row.trace_id or ""), by_word.get(row.canary or "")
        owner = sender or teller
        mine = replace(row, trace_id=owner.trace_id if owner else None)
        joined.append(mine)
        if sender is None:
            told.add(call_key(mine))
        elif teller is not None and teller is not sender and teller.trace_id not in traced:
            doubtful.add(call_key(mine))  # its trace is another's: who told the word has no call at all
    groups = calls(joined)
    idle = _Idle(requests, {row.trace_id for row in joined})
    doubtful |= {
        call_key(group[0])
        for group in groups
        if len(group) > 1 and call_key(group[0]) in told and _may_be_of_several(group, idle)
    }
    number = {id(row): attempt for group in groups for attempt, row in enumerate(group, start=1)}
    numbered = (
        row if row.attempt == number[id(row)] else replace(row, attempt=number[id(row)]) for row in joined
    )
    return tuple(numbered), Joins(
        received=len(joined),
        joined=sum(row.trace_id is not None for row in joined),
        ambiguous=frozenset(doubtful),
    )


def _may_be_of_several(group: Sequence[JournalRow], idle: _Idle) -> bool:
    """Whether what looks like the attempts of one call may be the calls of several requests."""
    if group[0].trace_id is None or any(idle.at(row.time_s) for row in group[1:]):
        return True
    # who tries again has given the attempt before up
    return any(
        later.time_s < earlier.end_s - HANDOVER_S and not earlier.client_gone
        for earlier, later in pairwise(group)
    )


class _Idle:
    """The requests that were answered, and that no model call is known of."""

    def __init__(self, requests: Iterable[RequestRow], known: set[str | None]) -> None:
        unknown = [row for row in requests if row.trace_id not in known and row.status not in UNASKED]
        self._begins = sorted(row.sent_s for row in unknown)
        self._ends = sorted(row.end_s for row in unknown)

    def at(self, time_s: float) -> bool:
        """Whether there was one in work at an instant."""
        return bisect_right(self._begins, time_s) > bisect_left(self._ends, time_s)
