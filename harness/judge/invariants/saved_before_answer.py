"""The turn is in the session store before the last byte of its answer goes out.

Whoever has the answer may ask the next thing at once, of another container: a turn that is saved after the
answer is lost to it. The span `session.save` has to end before the balancer had the whole answer, or the
caller, whichever was first. These are other clocks than the agent's: by so much as its container may be
ahead of them, a save is not late. It may be by as much as its earliest work seems to begin after the request
was sent, or an attempt at the model to end after the model's own end of it: a millisecond where the clocks
agree, also where every request has stood in a queue.

A save that ended in an error is none. Where all of an answer's did, its turn was never saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import SESSION_SAVES
from harness.records.history import ArmHistory, JoinedRequest

ENOUGH_ANSWERS = 44
"""Saves that are late in one answer of ten are found in 99 of 100 runs (`0.9^44` = 1 %)."""


def _examine(case: Case) -> Finding:
    ahead_s = _ahead_s(case.history)
    late = {
        request.row.trace_id: late_s - ahead_s.get(request.container, 0.0)
        for request in case.history.requests
        for late_s in _late_s(request)
    }
    if not late:
        return no_data("no span tells when the turn of an answer was saved")
    untold = sum(request.row.trace_id not in late for request in case.history.told_whole)
    after = sorted((trace for trace, late_s in late.items() if late_s > 0), key=lambda trace: -late[trace])
    never = sum(late[trace] == inf for trace in after)
    worst_ms = f", the latest by {late[after[never]] * 1e3:.0f} ms" if len(after) > never else ""
    worst_ms += f", and {never} of them never: their save ended in an error" if never else ""
    return Finding(
        holds=len(after) <= case.limit,
        observed=float(len(after)),
        message=f"{len(after)} of {len(late)} turns were saved after their answer had gone out{worst_ms}",
        traces=worst(after),
        cases=len(late),
        expected=len(late) + untold,
    )


def _ahead_s(history: ArmHistory) -> Mapping[str | None, float]:
    """Return by how many seconds the clock of each container may be ahead of the caller's, at the most."""
    told = contract.SERVICE_SIMULATOR not in history.clocks  # else the model's clock is another one, too
    found: dict[str | None, float] = {}
    for request in history.requests:
        for after_s in _afterwards_s(request, told=told):
            found[request.container] = min(max(0.0, after_s), found.get(request.container, inf))
    return found


def _afterwards_s(request: JoinedRequest, *, told: bool) -> Iterator[float]:
    """Yield how long after something a container noted what can't have come before that."""
    if request.server is None:
        return
    yield request.server.start_ns / 1e9 - request.row.sent_s
    over_s = {row.parent_span_id: row.over_s for row in request.journal if row.answered and told}
    for span in request.attempts:
        if span.span_id in over_s and span.instance == request.server.instance:
            yield span.end_ns / 1e9 - over_s[span.span_id]


def _late_s(request: JoinedRequest) -> Iterator[float]:
    """Yield how long after its answer the turn of a request was saved; negative for before it."""
    saves = [span for span in request.spans if span.name == contract.SPAN_SESSION_SAVE]
    if not (saves and request.row.ok):
        return
    saved = [span.end_ns for span in saves if not span.error]
    if not saved:
        yield inf
        return
    passed_on = [
        span.end_ns
        for span in request.spans
        if span.service == contract.SERVICE_ENVOY
        and span.kind == "client"
        and request.server is not None
        and span.end_ns >= request.server.start_ns  # else it is of a container that refused, or died
    ]
    yield max(saved) / 1e9 - min([request.row.end_s, *([max(passed_on) / 1e9] if passed_on else [])])


INVARIANT = Invariant(
    id="saved-before-answer",
    title="a turn is saved before its answer goes out",
    limit=0,
    unit="{turn}",
    remedy="Await the store before the last byte of the answer: a task in the background may be too late, or "
    "die with its container.",
    case="answers whose turn was saved",
    cases_needed=ENOUGH_ANSWERS,
    more_cases="Send more requests.",
    examine=_examine,
    of_spans=True,
    clocks=True,
    instants=True,
    needs=(SESSION_SAVES,),
)
