"""No turn of a conversation is lost, none is in it twice, and they stay in their order.

A turn has to be known to those that were sent after its answer was there; and once an answer knew of it, to
all that were sent after that, also where it had failed at its own caller. One that was answered before
another was sent stands before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import RECALL
from harness.records.history import grouped
from harness.records.sent import RequestRow

ENOUGH_ANSWERS = 30
"""A turn that one answer in ten lacks is seen in 96 of 100 runs."""


def _examine(case: Case) -> Finding:
    rows = [request.row for request in case.history.requests if request.row.canary is not None]
    answered = [row for row in rows if row.ok]
    if not any(row.canary in row.recalled for row in answered):
        return no_data("no answer repeats the canary word that its request told")
    turns_of = grouped(rows, lambda row: row.session_id)
    before = {row.index: _answered_before(row, turns_of[row.session_id]) for row in answered}
    if not any(before.values()):
        return no_data("no conversation went on after an answer")
    lost = [pair for row in answered for pair in _lost(row, before[row.index])]
    doubled = [pair for row in answered for pair in _doubled(row, turns_of[row.session_id])]
    moved = [pair for row in answered for pair in _moved(row, turns_of[row.session_id])]
    wrong = [*lost, *doubled, *moved]
    return Finding(
        holds=len(wrong) <= case.limit,
        observed=float(len(wrong)),
        message=f"{len(answered)} answers in {len(turns_of)} conversations, with "
        f"{sum(map(len, before.values()))} turns before them: {len(lost)} lost, {len(doubled)} doubled, "
        f"{len(moved)} out of order",
        traces=worst(row.trace_id for pair in wrong for row in pair),
        cases=sum(map(bool, before.values())),
    )


def _answered_before(row: RequestRow, turns: Sequence[RequestRow]) -> list[RequestRow]:
    """Return the turns whose answer was there when `row` was sent, or that such an answer knew."""
    before = [turn for turn in turns if turn.ok and turn.end_s <= row.sent_s]
    known = {word for turn in before for word in turn.recalled}
    return before + [turn for turn in turns if not turn.ok and turn.canary in known]


def _lost(row: RequestRow, before: Sequence[RequestRow]) -> Iterator[tuple[RequestRow, RequestRow]]:
    yield from ((row, turn) for turn in (*before, row) if turn.canary not in row.recalled)


def _doubled(row: RequestRow, turns: Sequence[RequestRow]) -> Iterator[tuple[RequestRow, RequestRow]]:
    """Yield what is there twice; a turn that failed at the caller may be there once, or not at all."""
    times = Counter(row.recalled)
    yield from ((row, turn) for turn in turns if times[turn.canary or ""] > 1)


def _moved(row: RequestRow, turns: Sequence[RequestRow]) -> Iterator[tuple[RequestRow, RequestRow]]:
    """Yield what stands behind a turn that was sent when its answer was there."""
    turn_of = {turn.canary: turn for turn in turns if turn.ok}
    latest: RequestRow | None = None
    for word in dict.fromkeys(row.recalled):
        if (turn := turn_of.get(word)) is None:
            continue
        if latest is not None and turn.end_s <= latest.sent_s:
            yield row, turn
        if latest is None or turn.sent_s > latest.sent_s:
            latest = turn


INVARIANT = Invariant(
    id="turns-kept",
    title="no turn of a conversation is lost, doubled or moved",
    limit=0,
    unit="{turn}",
    remedy="Save a turn before its answer goes out, under its request id, and answer an id that is known "
    "from what was saved.",
    case="answers with a turn before them",
    cases_needed=ENOUGH_ANSWERS,
    more_cases="Give conversations more turns, and send more.",
    examine=_examine,
    needs=(RECALL,),
)
