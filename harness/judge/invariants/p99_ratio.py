"""The tail is shorter than that of another arm, by as much as was claimed."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, ratio_at_most


def _examine(case: Case) -> Finding:
    mine_ms = case.summary.p99_ms
    theirs_ms = case.versus.p99_ms if case.versus is not None else None
    if mine_ms is None or not theirs_ms:
        return no_data("both arms need 100 successes for a p99")
    return ratio_at_most(case, mine_ms, theirs_ms, "p99", case.history.requests)


INVARIANT = Invariant(
    id="p99-ratio",
    title="p99 against another arm",
    limit=1.0,
    unit="1",
    timing=True,
    compares=True,
    remedy="Look where the tail's time goes: the waterfall of the slowest trace shows it.",
    examine=_examine,
)
