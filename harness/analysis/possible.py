"""What was recorded and can't be: times out of their order, and things that are there twice or not at all.

A row, a model call or a span that contradicts itself, the plan or another source makes no figure worse by a
rule that is known. So nothing is judged by an arm that has them, and what they are is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from itertools import pairwise
from math import isfinite
from typing import Final, TypeVar

from harness import contract
from harness.records.history import JoinedRequest
from harness.records.seen import JournalRow, Span
from harness.records.sent import RequestRow
from harness.records.setup import ArmFacts

T = TypeVar("T")
EARLY_S: Final = 0.005
"""So much two readings of a clock may be out of order: the one is of the socket, the other of the caller."""
TOO_SHORT: Final = "requests took less time than the balancer was at work on them"
FEW: Final = 0.01
"""In a share of the requests this may be so: a balancer that stands still when it has sent the last byte."""
SHORTER_S: Final = 0.010
"""So much a balancer's span may be longer than what its caller saw: it ends with the hand-over."""


def impossible(
    facts: ArmFacts, requests: Sequence[JoinedRequest], journal: Sequence[JournalRow]
) -> str | None:
    """Say what of an arm's records can't be true, None when all can."""
    rows = [request.row for request in requests]
    said = [
        _counted(rows, _is_out_of_order, "requests have times that are out of order"),
        _counted(rows, _ends_after(facts), "requests end after the load had"),
        _counted(
            rows, _not_planned_then(facts), "requests were due when their phase of the load did not last"
        ),
        _shared((row.trace_id for row in rows), "requests have the trace of another"),
        _shared((row.request_id for row in rows), "requests have the id of another"),
        _counted(requests, _is_too_short, TOO_SHORT, but_for=FEW),
        _counted(journal, _ends_first, "model calls end before they begin"),
        _counted(journal, _is_of_no_time, "model calls have times that are no numbers"),
        _counted(journal, _is_less_than_nothing, "model calls have figures below zero"),
        _counted(
            [span for each in requests for span in each.spans],
            _span_ends_first,
            "spans end before they begin",
        ),
        _counted(
            [each.server for each in requests if each.server is not None],
            _waited_wrongly,
            f"server spans have an {contract.QUEUE_WAIT_S} that can't be",
        ),
        _unjournalled(requests),
        *_set_up_wrongly(facts),
    ]
    return "; ".join(filter(None, said)) or None


def _counted(records: Sequence[T], wrong: Callable[[T], bool], what: str, *, but_for: float = 0.0) -> str:
    many = sum(map(wrong, records))
    return f"{many} of {len(records)} {what}" if many > but_for * len(records) else ""


def _shared(names: Iterable[str], what: str) -> str:
    known = list(names)
    many = len(known) - len(set(known))
    return f"{many} of {len(known)} {what}" if many else ""


def _is_out_of_order(row: RequestRow) -> bool:
    return not _ordered([row.due_s, row.sent_s, row.first_byte_s, row.first_token_s, row.end_s])


def _ordered(times_s: Iterable[float | None]) -> bool:
    known = [time_s for time_s in times_s if time_s is not None]
    return all(map(isfinite, known)) and all(
        later_s - earlier_s >= -EARLY_S for earlier_s, later_s in pairwise(known)
    )


def _ends_after(facts: ArmFacts) -> Callable[[RequestRow], bool]:
    return lambda row: row.end_s > facts.end_s + EARLY_S


def _not_planned_then(facts: ArmFacts) -> Callable[[RequestRow], bool]:
    """Return whether a request was due before the load began, or while another phase lasted than its own."""
    phases = [window for window in facts.windows if window.kind == "phase"]

    def wrong(row: RequestRow) -> bool:
        at_s = row.due_s - facts.start_s
        return at_s < -EARLY_S or any(
            not each.from_s - EARLY_S <= at_s <= each.to_s + EARLY_S
            if each.name == row.phase
            else each.from_s + EARLY_S < at_s < each.to_s - EARLY_S
            for each in phases
        )

    return wrong


def _is_too_short(request: JoinedRequest) -> bool:
    took_s = request.row.end_s - request.row.sent_s
    return any(span.duration_s > took_s + SHORTER_S for span in _of_balancer(request))


def _of_balancer(request: JoinedRequest) -> Iterator[Span]:
    """Yield the balancer's spans of a request whose answer was read to its end."""
    if request.row.ok:
        yield from (s for s in request.spans if s.service == contract.SERVICE_ENVOY and s.kind == "server")


def _unjournalled(requests: Sequence[JoinedRequest]) -> str:
    """Say how many model calls the simulator served by its spans, and has not in its journal."""
    told: Counter[str | None] = Counter(
        span.parent_span_id
        for request in requests
        for span in request.spans
        if span.service == contract.SERVICE_SIMULATOR and span.parent_span_id is not None
    )
    noted = Counter(row.parent_span_id for request in requests for row in request.journal)
    lost = (told - noted).total()
    return (
        f"{lost} of {told.total()} model calls are not in the journal, and have their spans" if lost else ""
    )


def _ends_first(row: JournalRow) -> bool:
    return not _ordered([row.time_s, row.end_s])


def _is_of_no_time(row: JournalRow) -> bool:
    return not isfinite(row.service_s) or not isfinite(row.retry_after_s or 0.0)


def _is_less_than_nothing(row: JournalRow) -> bool:
    counted = (row.bytes_sent, row.input_tokens, row.output_tokens, row.attempt - 1)
    return min(row.service_s, row.retry_after_s or 0.0, *counted) < 0


def _waited_wrongly(server: Span) -> bool:
    """Whether a span tells of a wait for a slot that is no time, or longer than the span itself."""
    waited = server.attributes.get(contract.QUEUE_WAIT_S, 0.0)
    if isinstance(waited, bool) or not isinstance(waited, int | float):
        return True
    return not 0 <= waited <= server.duration_s + EARLY_S


def _set_up_wrongly(facts: ArmFacts) -> Iterator[str]:
    """Say which facts of an arm no fleet and no load can have."""
    for name, least in (("concurrency_limit", 1), ("balancers", 1), ("planned", 0), ("dropped", 0)):
        if getattr(facts, name) < least:
            yield f"its {name} is {getattr(facts, name)}"
    for name in ("quota_rps", "quota_burst", "backoff_slowed", "cores"):
        figure = getattr(facts, name)
        if figure is not None and figure <= 0:
            yield f"its {name} is {figure}"
    if facts.others_cores is not None and facts.others_cores < 0:
        yield f"its others_cores is {facts.others_cores}"
    yield from dict.fromkeys(
        f"its {name} is {figure}" for name, figure in _figures(facts, "facts") if not _can_be(name, figure)
    )
    for window in facts.windows:
        if window.to_s < window.from_s:
            yield f"its {window.name} ended before it began"
    if not facts.start_s <= facts.end_s:
        yield "its load ended before it began"


def _figures(record: object, name: str) -> Iterator[tuple[str, float]]:
    """Yield the figures of a record, and of the records that it holds, each with its name."""
    if isinstance(record, float):
        yield name, record
    elif isinstance(record, tuple):
        for each in record:
            yield from _figures(each, name)
    elif is_dataclass(record):
        for field in fields(record):
            yield from _figures(getattr(record, field.name), field.name)


def _can_be(name: str, figure: float) -> bool:
    """Whether it is a number; a window need not have ended."""
    return isfinite(figure) or (name == "to_s" and figure > 0)


def _span_ends_first(span: Span) -> bool:
    return span.end_ns < span.start_ns - EARLY_S * 1e9
