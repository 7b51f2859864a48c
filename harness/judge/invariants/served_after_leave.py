"""A container whose reader left in mid-answer goes on serving others, in all of its slots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.causes import REFUSED
from harness.judge.evidence import READ_IN_PARTS
from harness.judge.fullness import fullness_of_each
from harness.records.history import ArmHistory, JoinedRequest
from harness.records.sent import RequestRow

ENOUGH_LEAVES = 10
"""A container that stands still after one of them is seen at the first; ten leave a race a few chances."""
AFTER_S = 1.0
"""One that answered no more for so long before the load's end was hardly asked again."""
NOTICED_S = 0.5
"""For so long after a reader left, a container may not know of it; and what it has just taken, or given back,
is not yet, or still, seen from outside."""


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
    first_s = {row.upstream: row.end_s for row in reversed(left)}
    refused = list(_refused_with_a_slot(case.history, first_s))
    containers = {row.upstream for row in (*silent, *refused)}
    return Finding(
        holds=len(containers) <= case.limit,
        observed=float(len(containers)),
        message=(
            f"{len(left)} readers left in mid-answer; of {len(answered_s)} containers "
            f"{len({row.upstream for row in silent})} answered nobody after one of them had, and "
            f"{len({row.upstream for row in refused})} refused {len(refused)} requests with a slot to spare"
        ),
        traces=worst(row.trace_id for row in (*silent, *refused)),
        cases=len(tested),
    )


def _refused_with_a_slot(history: ArmHistory, first_s: Mapping[str | None, float]) -> Iterator[RequestRow]:
    """Yield what a container refused once a reader had left there, while fewer than its limit were in work.

    Args:
        history: of the arm.
        first_s: when the first reader left, by container.
    """
    name_of = {each.address: each.name for each in history.facts.containers}
    seen = fullness_of_each(history)
    for request in history.requests:
        row = request.row
        full = seen.get(name_of.get(row.upstream or "", ""))
        if (
            full is None
            or not _is_refusal(request)
            or row.sent_s - NOTICED_S < first_s.get(row.upstream, row.sent_s)
        ):
            continue
        if not full.one_full(row.sent_s - NOTICED_S, row.end_s + NOTICED_S):
            yield row


def _is_refusal(request: JoinedRequest) -> bool:
    return request.row.status == REFUSED and request.server is None and not request.journal


INVARIANT = Invariant(
    id="served-after-leave",
    title="a container whose reader left goes on serving",
    limit=0,
    unit="{container}",
    remedy=(
        "Let a stream whose reader is gone end: watch for the disconnect, close the model's stream, and give "
        "the slot back, on every way out."
    ),
    case="readers who left in mid-answer, and others came after",
    cases_needed=ENOUGH_LEAVES,
    more_cases="Let more readers leave (leave_share), or send more.",
    examine=_examine,
    needs=(READ_IN_PARTS,),
)
