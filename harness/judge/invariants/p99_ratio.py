"""The tail is shorter than that of another arm, by as much as was claimed."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, ratio_at_most

ENOUGH_REQUESTS = 100
"""With fewer, a p99 is the maximum by another name; the other arm has none with fewer, either."""


def _examine(case: Case) -> Finding:
    mine_ms = case.summary.p99_ms
    theirs_ms = case.versus.p99_ms if case.versus is not None else None
    good = sum(request.row.ok for request in case.history.requests)
    if not good or not theirs_ms:
        return no_data("both arms need 100 successes for a p99")
    if mine_ms is None:
        return Finding(holds=None, observed=None, message="there is no p99 of so few", cases=good)
    return ratio_at_most(case, mine_ms, theirs_ms, "p99", case.history.requests)


INVARIANT = Invariant(
    id="p99-ratio",
    title="p99 against another arm",
    limit=1.0,
    unit="1",
    timing=True,
    compares=True,
    remedy="Look where the tail's time goes: the waterfall of the slowest trace shows it.",
    case="successes",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more requests.",
    examine=_examine,
)
