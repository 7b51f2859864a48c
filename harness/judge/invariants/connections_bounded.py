"""TCP connections to the model follow concurrency, not the number of requests."""

from __future__ import annotations

from harness.history import ArmHistory
from harness.judge.case import Case, Finding, Invariant, no_data, worst

ENOUGH_CALLS = 50


def _examine(case: Case) -> Finding:
    journal = case.history.journal
    if len(journal) < ENOUGH_CALLS:
        return no_data(f"{len(journal)} model calls are too few, {ENOUGH_CALLS} are needed")
    opened = {row.connection for row in journal}
    cut = sum(row.decision == "conn_reset" or row.client_gone for row in journal)
    concurrent = _most_concurrent(case.history)
    excess = max(0, len(opened) - concurrent - cut)
    share = excess / len(journal)
    return Finding(
        holds=share <= case.limit,
        observed=share,
        message=(
            f"{len(opened)} connections for {len(journal)} model calls, {concurrent} at once at the most and "
            f"{cut} cut: {excess} more than were needed, {share:.1%} of calls"
        ),
        traces=worst(row.trace_id for row in journal) if share > case.limit else (),
    )


def _most_concurrent(history: ArmHistory) -> int:
    changes = sorted(change for row in history.journal for change in ((row.time_s, 1), (row.end_s, -1)))
    count = most = 0
    for _, step in changes:
        count += step
        most = max(most, count)
    # Each container has a pool of its own, and their peaks need not fall together.
    return most + len(history.facts.containers)


INVARIANT = Invariant(
    id="connections-bounded",
    title="connections to the model do not grow with requests",
    limit=0.05,
    unit="1",
    remedy="Share one client per container, and read streamed answers to their end.",
    examine=_examine,
)
