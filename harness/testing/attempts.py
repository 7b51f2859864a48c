"""What the journal says of an agent's retries, and how its attempts are shown where they are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.records.seen import JournalRow

EARLY_S = 0.005
"""A retry that comes so much too early is none: clocks of two processes are read."""
MOST_SHOWN = 20
"""Calls, and attempts of each, that a message shows."""


@dataclass(frozen=True, slots=True)
class Call:
    """A model call: all its attempts, by the time at which they came."""

    attempts: tuple[JournalRow, ...]

    @property
    def failed(self) -> bool:
        """Whether an attempt of it got no whole answer."""
        return not all(map(_whole, self.attempts))

    @property
    def answered(self) -> bool:
        """Whether the last of them got a whole answer."""
        return _whole(self.attempts[-1])

    @property
    def took_s(self) -> float:
        """From the first attempt to the end of the last, in seconds."""
        return self.attempts[-1].end_s - self.attempts[0].time_s


def calls_of(rows: Iterable[JournalRow]) -> list[Call]:
    """Return the calls that the rows of a journal are attempts of, oldest first."""
    found: dict[str, list[JournalRow]] = {}
    for row in sorted(rows, key=lambda row: row.time_s):
        found.setdefault(row.call_id, []).append(row)
    return [Call(tuple(attempts)) for attempts in found.values()]


def not_retried_within(
    calls: Sequence[Call], attempts: int, seconds: float | None, *, answered: bool
) -> Iterator[str]:
    """Yield what is wrong where each call that failed was to be tried again, until it was answered.

    Args:
        calls: all that came.
        attempts: that a call may have, the first one counted.
        seconds: that it may take from its first attempt to the end of the last; None for any time.
        answered: whether it has to be answered in the end; else to be tried again is enough.
    """
    for call in _failed(calls):
        tried = len(call.attempts)
        if tried > attempts:
            yield f"a call was tried {tried} times; {attempts} are allowed"
        if tried == 1:
            yield "a call failed and was not tried again"
        elif answered and not call.answered:
            yield f"a call was tried {tried} times and never answered"
        if seconds is not None and call.took_s > seconds:
            yield f"a call took {call.took_s:.3f} s from its first attempt on; {seconds:g} s are allowed"
    yield from _untested(calls)


def retried(calls: Sequence[Call]) -> Iterator[str]:
    """Yield what is wrong where no call was to be tried again."""
    for call in calls:
        if len(call.attempts) > 1:
            yield f"a call was tried {len(call.attempts)} times; it was not to be tried again"
    yield from _untested(calls)


def too_early(calls: Sequence[Call]) -> Iterator[str]:
    """Yield what is wrong where each retry was to come no sooner than the caller was told."""
    told = False
    for call in calls:
        for before, after in pairwise(call.attempts):
            if before.retry_after_s is None:
                continue
            told, waited_s = True, after.time_s - before.end_s
            if waited_s < before.retry_after_s - EARLY_S:
                yield f"a retry came after {waited_s:.3f} s; it was told {before.retry_after_s:g} s"
    if not told:
        yield "no call that was told when to come back was tried again, so nothing was tested"


def shown(calls: Sequence[Call]) -> str:
    """Return the attempts of calls as lines of a message; empty for no call."""
    lines: list[str] = []
    for number, call in enumerate(calls[:MOST_SHOWN], start=1):
        first = call.attempts[0]
        lines.append(f"call {number}: {first.protocol}, {first.model or 'no model'}")
        lines += [_line(number, row, first.time_s) for number, row in enumerate(call.attempts, start=1)][
            :MOST_SHOWN
        ]
    if len(calls) > MOST_SHOWN:
        lines.append(f"and {len(calls) - MOST_SHOWN} more calls")
    return "\n".join(lines)


def _whole(row: JournalRow) -> bool:
    return row.answered and not row.client_gone


def _failed(calls: Iterable[Call]) -> list[Call]:
    return [call for call in calls if call.failed]


def _untested(calls: Sequence[Call]) -> Iterator[str]:
    if not _failed(calls):
        yield "no call failed, so nothing was tested: give the simulator a fault that meets one"


def _line(number: int, row: JournalRow, begin_s: float) -> str:
    told = "" if row.retry_after_s is None else f", told to come back in {row.retry_after_s:g} s"
    left = ", the caller hung up" if row.client_gone else ""
    status = row.status or "no head"
    came_s, took_s = row.time_s - begin_s, row.end_s - row.time_s
    return f"  attempt {number} at {came_s:7.3f} s, for {took_s:.3f} s: {status} {row.decision}{told}{left}"
