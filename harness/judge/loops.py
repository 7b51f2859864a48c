"""Who made each attempt of a call: a request that is sent again to another container begins anew there.

The attempts of one call are those of one retry loop as long as one container makes them. Where it dies while
it waits, and its request is given to another, that one knows nothing of the wait, nor of the attempts before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from harness.records.history import ArmHistory, calls
from harness.records.seen import JournalRow

Sender = str | int | None
"""A container, else the connection of an attempt whose container is not known; None where one will do."""


HANDOVER_S = 0.020
"""A retry may be noted so long before the end of what it follows."""


def retries(loop: Sequence[JournalRow]) -> Iterator[tuple[int, JournalRow, JournalRow]]:
    """Yield the retries of a loop: the number of each, what it followed, and itself.

    What was sent while the attempt before was still open is none: who sends a second one beside a slow first
    (a hedge) has waited for no answer, and was told nothing yet.
    """
    for number, (earlier, later) in enumerate(pairwise(loop), start=1):
        if later.time_s >= earlier.over_s - HANDOVER_S:
            yield number, earlier, later


def loops(history: ArmHistory) -> list[list[JournalRow]]:
    """Group the attempts that one container made of each call, in order of arrival."""
    groups = calls(history.journal)
    if all(len(call) == 1 for call in groups):
        return groups
    sender_of = _Senders(history)
    found: list[list[JournalRow]] = []
    for call in groups:
        if len(call) == 1:  # as most are
            found.append(call)
            continue
        senders = [sender_of(row) for row in call]
        first = next((sender for sender in senders if sender is not None), None)
        loops_of: defaultdict[Sender, list[JournalRow]] = defaultdict(list)
        for row, sender in zip(call, senders, strict=True):
            loops_of[first if sender is None else sender].append(row)
        found += loops_of.values()
    return found


class _Senders:
    """Which container made a model call, by its span, else by the connection that it came over."""

    def __init__(self, history: ArmHistory) -> None:
        kept = {request.row.trace_id for request in history.requests if not history.sent_again(request)}
        self._sent_again = {request.row.trace_id for request in history.requests} - kept
        self._by_span = {  # copies of one snapshot may draw the same ids of spans: not those of traces, too
            (request.row.trace_id, span.span_id): span.instance
            for request in history.requests
            for span in request.attempts
        }
        self._by_connection: defaultdict[int, set[str]] = defaultdict(set)
        for request in history.requests:
            for row in request.journal:
                told = self._by_span.get((request.row.trace_id, row.parent_span_id or ""))
                if (name := told or (request.container if row.trace_id in kept else None)) is not None:
                    self._by_connection[row.connection].add(name)

    def __call__(self, row: JournalRow) -> Sender:
        if (name := self._by_span.get((row.trace_id or "", row.parent_span_id or ""))) is not None:
            return name
        names = self._by_connection[row.connection]
        if len(names) == 1:
            return next(iter(names))
        return row.connection if row.trace_id in self._sent_again else None
