"""Whose each model call is: by its trace, else by the word in its body, else by a body that one request has.

A trace id alone says little: an agent may give each attempt a trace of its own, or carry on that of another
request. What a body says may be what several requests said. Both are looked for, and counted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from harness.records.history import MENDABLE, CallKey, Joins, call_key, calls, grouped
from harness.records.seen import JournalRow
from harness.records.sent import RequestRow

HANDOVER_S = 0.020
"""Who gives an attempt up and tries again may be quicker than the end of the first comes to be noted."""
OK = 200
UNASKED = {0, 503}
"""How requests end that nobody worked on, mostly: these need not have called a model."""


def attributed(
    journal: Iterable[JournalRow], requests: Sequence[RequestRow], since_s: float
) -> tuple[tuple[JournalRow, ...], Joins]:
    """Give each model call to the request that made it.

    Args:
        journal: what the simulator received, in any order.
        requests: what was sent.
        since_s: when the load began, in Unix seconds: what came before is of no request.

    Returns:
        The calls in order of arrival, each with the trace of its request, or with none, and with its number
        among the attempts of its call; and how well they could be joined.
    """
    received = sorted(journal, key=lambda row: row.time_s)
    owners = _Owners(requests, received)
    joined = [replace(row, trace_id=owner) for row, owner in zip(received, owners.found, strict=True)]
    groups = calls(joined)
    idle = _Idle(requests, {row.trace_id for row in joined})
    doubtful = {
        call_key(group[0])
        for group in groups
        if len(group) > 1 and call_key(group[0]) not in owners.by_traces and _may_be_of_several(group, idle)
    }
    doubtful |= _reworded(groups)
    number = {id(row): attempt for group in groups for attempt, row in enumerate(group, start=1)}
    numbered = tuple(
        row if row.attempt == number[id(row)] else replace(row, attempt=number[id(row)]) for row in joined
    )
    strays = sum(row.trace_id is None and row.time_s >= since_s for row in joined)
    mine = sum(row.trace_id is not None for row in joined)
    return numbered, Joins(
        received=mine + strays, joined=mine, ambiguous=frozenset(doubtful | owners.contested)
    )


class _Owners:
    """The requests that made some model calls.

    Args:
        requests: what was sent.
        received: the calls.

    Attributes:
        found: for each call the trace of its request, None where that is not known.
        by_traces: the calls of which each attempt has the trace of its request.
        contested: those whose trace is of one request and whose word is of another that has no call at all.
    """

    def __init__(self, requests: Sequence[RequestRow], received: Sequence[JournalRow]) -> None:
        traces = {row.trace_id for row in requests}
        tellers = {row.canary: row.trace_id for row in requests if row.canary is not None}
        traced = {row.trace_id for row in received} & traces
        self.contested: set[CallKey] = set()
        told: list[str | None] = []
        by_body: defaultdict[str, set[str]] = defaultdict(set)
        for row in received:
            teller = tellers.get(row.canary or "")
            sender = row.trace_id if row.trace_id in traces else None
            if sender and teller and teller not in traced:
                self.contested.add((sender, row.call_id))
            if owner := sender or teller:
                by_body[row.call_id].add(owner)
            told.append(owner)
        self.found = [
            owner or (next(iter(by_body[row.call_id])) if len(by_body[row.call_id]) == 1 else None)
            for row, owner in zip(received, told, strict=True)
        ]
        untraced = {
            (owner, row.call_id)
            for row, owner in zip(received, self.found, strict=True)
            if owner is None or row.trace_id != owner
        }
        self.by_traces = {
            (owner, row.call_id) for row, owner in zip(received, self.found, strict=True)
        } - untraced


def _may_be_of_several(group: Sequence[JournalRow], idle: _Idle) -> bool:
    """Whether what looks like the attempts of one call may be the calls of several requests."""
    first = 0 if group[0].trace_id is None else 1
    if any(idle.at(row.time_s) for row in group[first:]):
        return True
    # who tries again has given the attempt before up
    return group[0].trace_id is not None and any(
        later.time_s < earlier.over_s - HANDOVER_S and not earlier.client_gone
        for earlier, later in pairwise(group)
    )


def _reworded(groups: Iterable[Sequence[JournalRow]]) -> set[CallKey]:
    """Return the calls that may be attempts of one, each with another body, such as the time of day in it.

    They are those of a request that failed in a way which a retry may mend, and those that it made of the
    same model after them: another step of its work, or the same one once more. After an answer that was cut
    it is another step, if the agent took it for whole: such are looked at where others failed plainly.
    """
    of_each = grouped(
        [group for group in groups if group[0].trace_id is not None],
        lambda group: (group[0].trace_id, group[0].model),
    )
    plain, cut = set[CallKey](), set[CallKey]()
    for mine in of_each.values():
        for failed in filter(_in_vain, mine):
            after = [
                group
                for group in mine
                if group is not failed and group[0].time_s >= failed[-1].over_s - HANDOVER_S
            ]
            if after:
                found = cut if failed[-1].status == OK else plain
                found.update(call_key(group[0]) for group in (failed, *after))
    return plain | cut if plain else plain


def _in_vain(group: Sequence[JournalRow]) -> bool:
    return all(not row.answered and row.fault_class in MENDABLE for row in group)


class _Idle:
    """The requests that were answered, and that no model call is known of."""

    def __init__(self, requests: Iterable[RequestRow], known: set[str | None]) -> None:
        unknown = [row for row in requests if row.trace_id not in known and row.status not in UNASKED]
        self._begins = sorted(row.sent_s for row in unknown)
        self._ends = sorted(row.end_s for row in unknown)

    def at(self, time_s: float) -> bool:
        """Whether there was one in work at an instant."""
        return bisect_right(self._begins, time_s) > bisect_left(self._ends, time_s)
