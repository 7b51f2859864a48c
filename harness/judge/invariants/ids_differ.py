"""Copies of one snapshot draw ids of their own.

What was made when the snapshot was taken is the same in every container that is restored from it: a generator
of random numbers, for one. Looked at is what they draw after the restore: ids of spans, ids of the traces
that they begin themselves, ids of Agent objects, and ids of requests that came without one. None may be drawn
by two. (An Agent's id that is a small number is counted in each process, and not drawn.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from math import ceil

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import HOOKED, SERVER_SPANS, agent_id
from harness.judge.weather import UNHOOKED, copied
from harness.records.history import ArmHistory, grouped
from harness.records.seen import Span

COUNTED_DIGITS = 10
"""Numbers that are shorter are counts: nobody draws an id of so few."""
ENOUGH_REQUESTS = 12
"""Three of each of four copies, and no more of one count: of one that drew nothing, nothing is known. What is
drawn from one state is the same at the same draw, so that the first ones already meet; a copy need not draw
as often as another before, so more than one of each is looked at."""


def _examine(case: Case) -> Finding:
    history = case.history
    copies = history.facts.restored
    if not copies:
        return no_data("no container was restored from a snapshot")
    if not copied(history):
        return no_data(UNHOOKED)
    since_ns = min(copy.restored_s for copy in copies) * 1e9
    spans = [span for span in _spans(history) if span.of_agent and span.start_ns >= since_ns]
    twice = {
        "spans": _twice(spans, lambda span: span.span_id, lambda span: (span.trace_id, span.instance)),
        "traces": _twice(_roots(spans), lambda span: span.trace_id, lambda span: span.instance),
        "Agent objects": _twice(
            [span for span in spans if _is_drawn(agent_id(span))],
            lambda span: agent_id(span) or "",
            lambda span: (span.trace_id, span.instance),
        ),
    }
    made = [(each, copy.container) for copy in copies for each in copy.requests]
    requests = [each for each, whose in grouped(made, lambda it: it[0]).items() if len(whose) > 1]
    counts = {**{what: len(ids) for what, ids in twice.items()}, "requests": len(requests)}
    found = sum(counts.values())
    said = ", ".join(f"{count} of {what}" for what, count in counts.items() if count)
    traces = [span.trace_id for what in twice.values() for group in what for span in group]
    mine = {copy.container for copy in copies}
    worked = Counter(span.instance for span in spans if span.kind == "server" and span.instance in mine)
    of_each = ceil(ENOUGH_REQUESTS / len(copies))
    return Finding(
        holds=found <= case.limit,
        observed=float(found),
        message=f"{len(copies)} copies drew {found} ids twice"
        + (f" ({said})" if said else f", in {len(spans)} spans and {len(made)} ids of requests"),
        traces=worst(traces),
        cases=sum(min(count, of_each) for count in worked.values()),
        expected=of_each * len(copies),
    )


def _is_drawn(told: str | None) -> bool:
    """Whether an Agent has an id, and one that its process did not count."""
    return told is not None and not (told.isdecimal() and len(told) < COUNTED_DIGITS)


def _spans(history: ArmHistory) -> Iterator[Span]:
    for request in history.requests:
        yield from request.spans
    yield from history.unasked


def _roots(spans: Iterable[Span]) -> list[Span]:
    """Return the spans that begin a trace of their own."""
    return [span for span in spans if span.parent_span_id is None]


def _twice(
    spans: Iterable[Span], drawn: Callable[[Span], str], place: Callable[[Span], Hashable]
) -> list[list[Span]]:
    """Return the groups of spans that have one id in several places."""
    groups = grouped(spans, drawn)
    return [group for group in groups.values() if len({place(span) for span in group}) > 1]


INVARIANT = Invariant(
    id="ids-differ",
    title="copies of one snapshot draw ids of their own",
    limit=0,
    unit="{id}",
    remedy="Draw ids from the system at each use (`secrets`, `uuid4`), or seed the generator when the "
    "container notices that it was restored: its clock jumps. For OpenTelemetry, give the tracer provider an "
    "id generator that draws so; its own draws from `random`.",
    case="requests that restored containers worked on, a few of each",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more requests after the restore.",
    examine=_examine,
    of_spans=True,
    needs=(HOOKED, SERVER_SPANS),
)
