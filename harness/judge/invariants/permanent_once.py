"""A permanent error costs one attempt."""

from __future__ import annotations

from harness.history import calls
from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst
from harness.records import JournalRow


def _examine(case: Case) -> Finding:
    groups = [g for g in calls(case.history.journal) if any(row.fault_class == "permanent" for row in g)]
    if not groups:
        return no_data("no call met a permanent fault")
    after = [_attempts_from_it_on(group) for group in groups]
    again = [group[0].trace_id for group, count in zip(groups, after, strict=True) if count > case.limit]
    return at_most(
        case,
        float(max(after)),
        f"{len(groups)} calls met a permanent fault; attempts from it on, at the most",
        worst(again),
    )


def _attempts_from_it_on(attempts: list[JournalRow]) -> int:
    return len(attempts) - next(n for n, row in enumerate(attempts) if row.fault_class == "permanent")


INVARIANT = Invariant(
    id="permanent-once",
    title="permanent errors are not retried",
    limit=1,
    unit="{attempt}",
    remedy="Sort errors before retrying: authentication, validation, filters and used-up quotas stay.",
    examine=_examine,
)
