"""What the simulator's journal says of retries: the ground truth, whatever the agent's spans claim."""

from __future__ import annotations

from collections.abc import Sequence

from harness.records.history import ENOUGH_RETRIES, Herd, calls
from harness.records.seen import JournalRow
from harness.records.setup import ArmFacts

WINDOW_S = 0.1


def herd(journal: Sequence[JournalRow], faults: Sequence[tuple[float, float]] = ()) -> Herd:
    """Find the 100 ms into which most first retries fall.

    The window slides: it is the fullest bin over all places that bins could begin at, so that a herd
    is not halved because it happens to straddle the edge of two. Retries spread by full jitter over
    1 s meet a limit of 0.2 by this count as well.

    Args:
        journal: in any order.
        faults: begin and end, in Unix seconds, of the faults that had a time. Where there are some, only
            retries of calls that they turned away are counted: it is those who could come back together,
            and others would hide them.
    """
    turned_away = {_call(row) for row in journal if row.attempt == 1 and _within(row.time_s, faults)}
    first = sorted(
        (row.time_s, row.trace_id or "")
        for row in journal
        if row.attempt == 2  # noqa: PLR2004 - the second attempt is the first retry
        and (not faults or _call(row) in turned_away)
    )
    if len(first) < ENOUGH_RETRIES:
        return Herd(first_retries=len(first), share=None)
    begin, fullest = 0, range(0)
    for end, (time_s, _) in enumerate(first, start=1):
        while time_s - first[begin][0] >= WINDOW_S:
            begin += 1
        fullest = max(fullest, range(begin, end), key=len)
    return Herd(
        first_retries=len(first),
        share=len(fullest) / len(first),
        traces=tuple(trace for trace in (first[n][1] for n in fullest) if trace),
    )


def _call(row: JournalRow) -> tuple[str | None, str]:
    return row.trace_id, row.call_id


def _within(time_s: float, windows: Sequence[tuple[float, float]]) -> bool:
    return any(from_s <= time_s < to_s for from_s, to_s in windows)


def most_possible(journal: Sequence[JournalRow], facts: ArmFacts) -> float | None:
    """Return the most model calls that could succeed; None without a quota."""
    if facts.quota_rps is None or facts.quota_burst is None:
        return None
    ceiling = facts.quota_burst + facts.quota_rps * (facts.end_s - facts.start_s)
    return min(len(_unhindered(journal)), ceiling)


def goodput_share(journal: Sequence[JournalRow], facts: ArmFacts) -> float | None:
    """Return the model calls that ended in success, over the most that were possible.

    A bucket of B requests that refills with r a second lets at most B + r * T through in T seconds;
    and no more calls can succeed than were made and met no permanent fault. Transient faults are no
    excuse: a retry is there to outlive them.

    Args:
        journal: in any order.
        facts: the quota, and how long the load went on.

    Returns:
        None without a quota, or when no call could have succeeded.
    """
    most = most_possible(journal, facts)
    succeeded = sum(any(row.answered for row in call) for call in _unhindered(journal))
    return succeeded / most if most else None


def _unhindered(journal: Sequence[JournalRow]) -> list[list[JournalRow]]:
    """Return the calls that met no permanent fault."""
    return [call for call in calls(journal) if all(row.fault_class != "permanent" for row in call)]
