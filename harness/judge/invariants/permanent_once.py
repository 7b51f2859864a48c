"""A permanent error costs one attempt, and no wait.

Whoever gave it is not asked again. A model API of another protocol, that is asked in its place, may answer.
And who fails for it is told so at once: a loop that sleeps before it finds that it may not try again, or once
more after its last attempt, keeps its caller waiting for nothing. What the agent notes as a backoff after a
permanent error shows that; and so does, noted or not, that requests which failed for one did so half a second
later after it, in the median, than others are answered after their model's last word. (Of a live system that
is not asked: what else was done for them is not known.)

Where a request asked the same model again after it, in other words, that may be another step of its work, or
the same call with the time of day in it: then what holds for the others is unknown. It is another step where
it made no more calls in all than each request that nothing was refused: a retry is one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import MODEL_CALLS, WHOSE_CALLS
from harness.judge.loops import loops
from harness.records.history import JoinedRequest, calls
from harness.records.seen import JournalRow

NOT_ITS_ANSWER = {0, 504}
"""How a request ends whose caller had enough of it, or whose balancer had."""
WAIT_S = 0.5
"""Backoffs last so long, or longer. Both medians are of one machine at one time: a busy one delays both."""
ENOUGH_CALLS = 8
"""Errors are sorted by kind: eight calls leave one that is a third of them unmet in 4 of 100 runs."""


def _examine(case: Case) -> Finding:
    groups = [g for g in loops(case.history) if any(_permanent(row) for row in g)]
    if not groups:
        return no_data("no call met a permanent fault")
    counts = [(_attempts_from_it_on(group), group[0].trace_id) for group in groups]
    most = max(count for count, _ in counts)
    again = sorted((each for each in counts if each[0] > case.limit), key=lambda each: -each[0])
    slept = [request.row.trace_id for request in case.history.requests if _slept_after(request)]
    # of a live system it is not known what else was done for these
    later_s, kept_waiting = _later([] if case.history.facts.learnt else case.history.requests)
    waits = f"; who failed for it did so {later_s:.1f} s after it in the median" if kept_waiting else ""
    found = Finding(
        holds=most <= case.limit and not slept and not kept_waiting,
        observed=float(most),
        message=(
            f"{len(groups)} calls met a permanent fault: at most {most} attempts from it on, limit "
            f"{case.limit:.3g}, and {len(slept)} requests waited to retry it{waits}"
        ),
        traces=worst([*(trace for _, trace in again), *slept, *kept_waiting]),
        cases=len(groups),
    )
    usual = _least_calls(case.history.requests)
    reworded = [
        request.row.trace_id
        for request in case.history.requests
        if _asked_on(request) and not _went_on(request, usual)
    ]
    if not found.holds or not reworded:
        return found
    said = f"{len(reworded)} requests asked the same model again after one, in other words, as a retry or not"
    return replace(found, holds=None, message=f"{found.message}; {said}", traces=worst(reworded))


def _permanent(row: JournalRow) -> bool:
    return row.fault_class == "permanent"


def _attempts_from_it_on(attempts: list[JournalRow]) -> int:
    """Return the most attempts from a permanent fault on, at who answered with it: another may mend it."""
    return max(
        sum(later.protocol == row.protocol for later in attempts[n:])
        for n, row in enumerate(attempts)
        if _permanent(row)
    )


def _asked_on(request: JoinedRequest) -> bool:
    """Whether a request made another call of the same model once one of its calls was refused for good."""
    if not any(map(_permanent, request.journal)):  # as most are
        return False
    groups = calls(request.journal)
    return any(
        (other[0].protocol, other[0].model) == (call[0].protocol, call[0].model)
        and other[0].time_s >= call[-1].over_s
        for call in groups
        if _permanent(call[-1])
        for other in groups
        if other is not call
    )


def _least_calls(requests: Sequence[JoinedRequest]) -> int:
    """Return how many calls a success that nothing was refused makes at the least; 0 for too few to tell."""
    counts = [
        len(calls(request.journal))
        for request in requests
        if request.row.ok and request.journal and not any(map(_permanent, request.journal))
    ]
    return min(counts) if len(counts) >= ENOUGH_CALLS else 0


def _went_on(request: JoinedRequest, usual: int) -> bool:
    """Whether the calls of a request that was refused one are those that others make, and no retry."""
    groups = calls(request.journal)
    return len(groups) <= usual and sum(any(map(_permanent, call)) for call in groups) == 1


def _later(requests: Sequence[JoinedRequest]) -> tuple[float, list[str]]:
    """Return how long requests went on after a permanent error that they failed for, in the median.

    Returns:
        And their traces, the longest first, where that is `WAIT_S` more than others take after their last
        model call; none where too few tell.
    """
    refused, usual = list[tuple[float, str]](), list[float]()
    for request in requests:
        if not request.journal or request.row.left or request.row.status in NOT_ITS_ANSWER:
            continue
        last = max(request.journal, key=lambda row: row.over_s)
        after_s = request.row.end_s - last.over_s
        if request.row.ok:
            usual.append(after_s)
        elif _permanent(last):
            refused.append((after_s, request.row.trace_id))
    if min(len(refused), len(usual)) < ENOUGH_CALLS:
        return 0.0, []
    later_s = median(after_s for after_s, _ in refused)
    longest = [trace for _, trace in sorted(refused, reverse=True)]
    return later_s, longest if later_s - median(usual) > WAIT_S else []


def _slept_after(request: JoinedRequest) -> bool:
    """Whether the agent noted a backoff after a permanent fault, whatever it did then."""
    refused = {row.parent_span_id for row in request.journal if _permanent(row)}
    begun_ns = {span.parent_span_id: span.start_ns for span in request.attempts if span.span_id in refused}
    return any(
        event.name == contract.RETRY_EVENT and event.time_ns >= begun_ns[call.span_id]
        for call in request.model_calls
        if call.span_id in begun_ns
        for event in call.events
    )


INVARIANT = Invariant(
    id="permanent-once",
    title="permanent errors are not retried",
    limit=1,
    unit="{attempt}",
    remedy=(
        "Sort errors before retrying: authentication, validation, filters and used-up quotas stay. And look "
        "whether there is another attempt before you wait for it."
    ),
    case="calls that met a permanent fault",
    cases_needed=ENOUGH_CALLS,
    more_cases="Serve more permanent faults.",
    examine=_examine,
    of_calls=True,
    needs=(MODEL_CALLS, WHOSE_CALLS),
)
