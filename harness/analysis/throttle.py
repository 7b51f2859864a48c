"""What the simulator's journal says of retries: the ground truth, whatever the agent's spans claim."""

from __future__ import annotations

from collections.abc import Sequence

from harness.quantiles import fullest
from harness.records.history import ENOUGH_RETRIES, Herd, calls
from harness.records.seen import JournalRow
from harness.records.setup import ArmFacts

WINDOW_S = 0.1


def herd(
    journal: Sequence[JournalRow], faults: Sequence[tuple[float, float]] = (), *, slowed: float = 1.0
) -> Herd:
    """Find the 100 ms into which most first, second or third retries fall.

    Each kind is looked at by itself, in the whole fleet: jitter may be there for the first wait and missing
    in the second. The window slides: it is the fullest bin over all places that bins could begin at, so that
    a herd is not halved because it happens to straddle the edge of two. A hundred retries spread by full
    jitter over 2 s meet a limit of 0.2 by this count as well.

    Args:
        journal: in any order.
        faults: begin and end, in Unix seconds, of the faults that had a time. Where there are some, only
            retries of calls that they turned away before are counted: it is those who could come back
            together, and others would hide them.
        slowed: what the agents' waits between attempts were multiplied by, see `ArmFacts`: the 100 ms are
            lengthened as much. A wait that is drawn puts as small a share into them, and a machine that has
            to be spared spreads what comes at once.
    """
    window_s = WINDOW_S * slowed
    turned_away: dict[tuple[str | None, str], int] = {}
    for row in journal:
        if _within(row.time_s, faults):
            turned_away[_call(row)] = min(row.attempt, turned_away.get(_call(row), row.attempt))
    came: dict[int, list[tuple[float, str]]] = {retry: [] for retry in ENOUGH_RETRIES}
    for row in journal:
        retry = row.attempt - 1
        if retry in came and (not faults or turned_away.get(_call(row), row.attempt) < row.attempt):
            came[retry].append((row.time_s, row.trace_id or ""))
    found = [
        _fullest(retry, sorted(retries), len(came[1]), window_s)
        for retry, retries in came.items()
        if len(retries) >= ENOUGH_RETRIES[retry]
    ]
    return max(
        found, key=lambda each: each.share or 0.0, default=Herd(first_retries=len(came[1]), share=None)
    )


def _fullest(retry: int, came: Sequence[tuple[float, str]], first_retries: int, window_s: float) -> Herd:
    together = fullest(window_s, [time_s for time_s, _ in came])
    return Herd(
        first_retries=first_retries,
        share=len(together) / len(came),
        retry=retry,
        retries=len(came),
        traces=tuple(trace for trace in (came[n][1] for n in together) if trace),
        window_s=window_s,
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
