"""What a history tells of a workload: the parts of each request, its calls and their attempts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from harness import contract
from harness.quantiles import quantile
from harness.records.history import MENDABLE, ArmHistory, JoinedRequest, calls
from harness.records.seen import JournalRow, Span

THROTTLED: Final = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class CallParts:
    """A model call that was answered.

    Attributes:
        took_s: of its last attempt, with what its client takes.
        first_token_s: of that, until the first token; None where nothing tells.
        tokens_in, tokens_out: as it was billed; None where nothing tells.
    """

    took_s: float
    first_token_s: float | None
    tokens_in: int | None
    tokens_out: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestParts:
    """A request that was answered, part by part, in seconds.

    Attributes:
        due_s: when it came, in Unix seconds.
        session: that it belongs to.
        own_s: until its first call, without its session.
        session_s: reading and writing its session.
        calls: in order.
        tools_s: between two calls.
        tail_s: after the last call.
        after_s: after the answer.
        at_once: whether some of its calls were made at the same time.
    """

    due_s: float
    session: str
    own_s: float
    session_s: float
    calls: tuple[CallParts, ...]
    tools_s: tuple[float, ...]
    tail_s: float
    after_s: float
    at_once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """The attempts of all model calls.

    Attributes:
        made: how many.
        calls: of so many calls.
        throttled: those that a quota refused.
        faults: those that failed for another reason, and might have been tried again.
        most: of one call.
        exhausted: whether one that had the most of them failed for good.
        jitters_s: of first retries, the wait beyond what the refusal told.
        told: Retry-After of the refusals that told one.
        admitted_s: when the others came, in order; refused_s: when those did.
    """

    made: int
    calls: int
    throttled: int
    faults: int
    most: int
    exhausted: bool
    jitters_s: tuple[float, ...]
    told: tuple[float, ...]
    admitted_s: tuple[float, ...]
    refused_s: tuple[float, ...]


def parts_of(requests: Iterable[JoinedRequest]) -> list[RequestParts]:
    """Return the parts of the requests that were answered, and of which a container's span tells."""
    found = (_parts(request) for request in requests if request.row.ok and request.server is not None)
    return [each for each in found if each is not None]


def _parts(request: JoinedRequest) -> RequestParts | None:
    server, taken_s = request.server, request.taken_s
    if server is None or taken_s is None:
        return None
    until = {span.span_id for span in request.until_answer}
    model = sorted((s for s in request.model_calls if s.span_id in until), key=lambda span: span.start_ns)
    stored = [
        span
        for span in request.until_answer
        if span.name.startswith((contract.SPAN_SESSION_LOAD, contract.SPAN_SESSION_SAVE))
        and span.instance == server.instance
    ]
    before_s = after_s = 0.0
    end_s = server.end_ns / 1e9
    first_s = model[0].start_ns / 1e9 if model else end_s
    ends_s = list(accumulate((span.end_ns / 1e9 for span in model), max))
    last_s = ends_s[-1] if model else end_s
    # of calls at the same time each is as long as it adds: the parts are what the container took, together
    begun_s = [-math.inf, *ends_s]
    for span in stored:
        if span.start_ns / 1e9 < first_s:
            before_s += span.duration_s
        elif span.start_ns / 1e9 >= last_s:
            after_s += span.duration_s
    return RequestParts(
        due_s=request.row.due_s,
        session=request.row.session_id,
        own_s=max(0.0, first_s - taken_s - before_s),
        session_s=before_s + after_s,
        calls=tuple(_call(span, request, since_s) for span, since_s in zip(model, begun_s, strict=False)),
        tools_s=tuple(
            max(0.0, span.start_ns / 1e9 - since_s) for span, since_s in zip(model[1:], ends_s, strict=False)
        ),
        at_once=any(span.start_ns / 1e9 < since_s for span, since_s in zip(model[1:], ends_s, strict=False)),
        tail_s=max(0.0, end_s - last_s - after_s),
        after_s=request.after_s,
    )


def _call(span: Span, request: JoinedRequest, since_s: float) -> CallParts:
    attempts = sorted(
        (s for s in request.attempts if s.parent_span_id == span.span_id), key=lambda each: each.start_ns
    )
    # of a call that was tried again, what came before the last attempt is no part of it
    begin_s = attempts[-1].start_ns / 1e9 if len(attempts) > 1 else span.start_ns / 1e9
    told = span.attributes.get(contract.FIRST_CHUNK_S)
    first_s = float(told) if isinstance(told, int | float) and 0 < told <= span.duration_s else None
    if first_s is not None and len(attempts) > 1:
        tried_s = begin_s - span.start_ns / 1e9
        first_s = first_s - tried_s if first_s > tried_s else first_s
    if first_s is not None and begin_s < since_s:
        first_s = max(0.0, first_s - (since_s - begin_s))
    begin_s, end_s = max(begin_s, since_s), max(span.end_ns / 1e9, since_s)
    if first_s is not None:
        first_s = min(first_s, end_s - begin_s)
    return CallParts(
        took_s=end_s - begin_s,
        first_token_s=first_s,
        tokens_in=_whole(span, contract.TOKENS_IN),
        tokens_out=_whole(span, contract.TOKENS_OUT),
    )


def _whole(span: Span, name: str) -> int | None:
    told = span.attributes.get(name)
    return told if isinstance(told, int) and not isinstance(told, bool) and told >= 0 else None


def attempts_of(journal: Sequence[JournalRow]) -> Attempts:
    """Return what is known of the attempts: by the simulator's journal, or by the spans of a live system."""
    groups = calls(journal)
    most = max(map(len, groups), default=0)
    jitters, told = list[float](), list[float]()
    for group in groups:
        for first, second in list(pairwise(group))[:1]:
            waited_s = second.time_s - first.end_s
            jitters.append(max(0.0, waited_s - max(first.retry_after_s or 0.0, 0.0)))
    told += [row.retry_after_s for row in journal if row.retry_after_s is not None]
    refused = [row.time_s for row in journal if _throttled(row)]
    return Attempts(
        made=len(journal),
        calls=len(groups),
        throttled=len(refused),
        faults=sum(row.fault_class in MENDABLE and not _throttled(row) for row in journal),
        most=most,
        exhausted=any(len(group) == most and not group[-1].answered for group in groups) and most > 1,
        jitters_s=tuple(jitters),
        told=tuple(told),
        admitted_s=tuple(sorted(row.time_s for row in journal if not _throttled(row))),
        refused_s=tuple(sorted(refused)),
    )


def _throttled(row: JournalRow) -> bool:
    return row.status == THROTTLED and row.fault_class in MENDABLE


def path_s(history: ArmHistory) -> float | None:
    """Return what a request takes beside its container: there, when nothing else is in its way, and back.

    The way there is that of the fastest quarter, for slower ones waited for a container. Where clocks differ,
    each way is as wrong as they are, and both together are right.
    """
    seen = [each for each in history.requests if each.row.ok and each.server is not None]
    if history.clocks:
        both = [s.row.end_s - s.row.sent_s - s.server.duration_s for s in seen if s.server is not None]
        fast_s = quantile(both, 0.25)
        return None if fast_s is None else max(0.0, fast_s)
    there = [s.server.start_ns / 1e9 - s.row.sent_s for s in seen if s.server is not None]
    back = [s.row.end_s - s.server.end_ns / 1e9 for s in seen if s.server is not None]
    quarter, half = quantile(there, 0.25), quantile(back, 0.5)
    return None if quarter is None or half is None else max(0.0, quarter) + max(0.0, half)


def waits_of(history: ArmHistory) -> list[tuple[float, float]]:
    """Return when each request was due, and how long it waited for a container, in order."""
    return [(each.row.due_s, max(0.0, each.wait_s)) for each in history.requests if each.server is not None]
