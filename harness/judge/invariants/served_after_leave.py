"""A container whose reader left in mid-answer goes on serving others."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst

ENOUGH_LEAVES = 10
"""A container that stands still after one of them is seen at the first; ten leave a race a few chances."""
AFTER_S = 1.0
"""One that answered no more for so long before the load's end was hardly asked again."""


def _examine(case: Case) -> Finding:
    rows = [request.row for request in case.history.requests]
    left = [row for row in rows if row.left and row.upstream is not None]
    if not left:
        return no_data("no reader left in mid-answer: ask for a stream, and set leave_share")
    answered_s = {row.upstream: 0.0 for row in left}
    for row in rows:
        if row.ok and row.upstream in answered_s:
            answered_s[row.upstream] = max(answered_s[row.upstream], row.end_s)
    last_due_s = max(row.due_s for row in rows)
    tested = [row for row in left if last_due_s - row.end_s > AFTER_S]
    silent = [row for row in tested if answered_s[row.upstream] <= row.end_s]
    containers = {row.upstream for row in silent}
    return Finding(
        holds=len(containers) <= case.limit,
        observed=float(len(containers)),
        message=(
            f"{len(left)} readers left in mid-answer; {len(containers)} of {len(answered_s)} containers "
            "answered nobody after one of them had"
        ),
        traces=worst(row.trace_id for row in silent),
        cases=len(tested),
    )


INVARIANT = Invariant(
    id="served-after-leave",
    title="a container whose reader left goes on serving",
    limit=0,
    unit="{container}",
    remedy=(
        "Let a stream whose reader is gone end: watch for the disconnect, close the model's stream, and give "
        "the slot back."
    ),
    case="readers who left in mid-answer, and others came after",
    cases_needed=ENOUGH_LEAVES,
    more_cases="Let more readers leave (leave_share), or send more.",
    examine=_examine,
)
