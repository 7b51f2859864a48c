"""A trace as rows of a waterfall: who ran when, as shares of the whole trace."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from harness.records.seen import Attribute, Span, SpanEvent
from harness.report.charts.distribution import milliseconds

MOST_SPANS = 80
"""A waterfall of more rows is read by nobody; Jaeger's page shows the rest."""
MOST_LETTERS = 300
MOST_DETAILS = 128
"""Attributes and events of a span that are shown, each: as many as OpenTelemetry's own limits allow."""
MOST_INDENT = 8
NS_PER_S = 1e9
WHOLE = 100.0
"""Percent; an event that lies outside of the trace is told, and not drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanRow:
    """One span of a waterfall.

    Attributes:
        name: what ran.
        place: where: the container, or the service.
        depth: how deep it lies in the tree, at most 8.
        left, width: where its bar lies, percent of the trace's length.
        took: its duration in words.
        error: whether it failed.
        details: (key, text) of its attributes and events.
        events: where its events lie, percent of the trace's length.
    """

    name: str
    place: str
    depth: int
    left: float
    width: float
    took: str
    error: bool
    details: tuple[tuple[str, str], ...]
    events: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """A trace, drawn: `left_out` spans beyond the most are not in `rows`; `half` is half its length."""

    trace_id: str
    took: str
    half: str
    spans: int
    left_out: int
    rows: tuple[SpanRow, ...]


def length_of(spans: tuple[Span, ...]) -> int:
    """Return the nanoseconds from the first begin to the last end in a trace, at least 1."""
    return max(max(span.end_ns for span in spans) - min(span.start_ns for span in spans), 1)


def waterfall(spans: tuple[Span, ...], most: int = MOST_SPANS, of_ns: int = 0) -> Waterfall:
    """Lay out one trace of at least one span.

    Args:
        spans: of the trace.
        most: rows.
        of_ns: what its bars are shares of, where that is longer than the trace itself.
    """
    begin_ns = min(span.start_ns for span in spans)
    length_ns = max(length_of(spans), of_ns)
    rows = tuple(_row(span, depth, begin_ns, length_ns) for span, depth in _walk(spans))
    return Waterfall(
        trace_id=spans[0].trace_id,
        took=milliseconds(length_ns / NS_PER_S),
        half=milliseconds(length_ns / NS_PER_S / 2),
        spans=len(spans),
        left_out=max(0, len(rows) - most),
        rows=rows[:most],
    )


def _walk(spans: tuple[Span, ...]) -> Iterator[tuple[Span, int]]:
    """Yield spans with their depth, parents before children and the earlier first.

    A span whose parent is not there is a root; one that would never be reached, because
    parents go round in a circle, comes last.
    """
    ids = {span.span_id for span in spans}
    children: dict[str | None, list[Span]] = {}
    for span in sorted(spans, key=lambda span: (span.start_ns, -span.end_ns)):
        parent = span.parent_span_id if span.parent_span_id in ids else None
        children.setdefault(parent, []).append(span)
    stack = [(span, 0) for span in reversed(children.pop(None, []))]
    while stack:
        span, depth = stack.pop()
        yield span, depth
        stack += [(child, depth + 1) for child in reversed(children.pop(span.span_id, []))]
    for orphans in children.values():
        yield from ((span, 0) for span in orphans)


def _row(span: Span, depth: int, begin_ns: int, length_ns: int) -> SpanRow:
    def share(time_ns: int) -> float:
        return round(100 * (time_ns - begin_ns) / length_ns, 2)

    return SpanRow(
        name=_cut(span.name),
        place=_cut(span.instance or span.service),
        depth=min(depth, MOST_INDENT),
        left=share(span.start_ns),
        width=max(0.0, round(100 * (span.end_ns - span.start_ns) / length_ns, 2)),
        took=milliseconds(span.duration_s),
        error=span.error,
        details=tuple(_details(span, begin_ns)),
        events=tuple(
            at for event in span.events[:MOST_DETAILS] if 0 <= (at := share(event.time_ns)) <= WHOLE
        ),
    )


def _details(span: Span, begin_ns: int) -> Iterator[tuple[str, str]]:
    yield "service", _cut(span.service)
    yield "kind", span.kind
    yield "starts at", milliseconds((span.start_ns - begin_ns) / NS_PER_S)
    if span.status_message:
        yield "status", _cut(span.status_message)
    yield from _texts(span.attributes)
    for event in span.events[:MOST_DETAILS]:
        at = milliseconds((event.time_ns - begin_ns) / NS_PER_S)
        yield f"{_cut(event.name)} at {at}", _event(event)
    if (more := len(span.events) - MOST_DETAILS) > 0:
        yield "more events", str(more)


def _event(event: SpanEvent) -> str:
    return ", ".join(f"{key} = {text}" for key, text in _texts(event.attributes))


def _texts(attributes: Mapping[str, Attribute]) -> Iterator[tuple[str, str]]:
    for key, value in islice(attributes.items(), MOST_DETAILS):
        yield _cut(key), _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    if (more := len(attributes) - MOST_DETAILS) > 0:
        yield "more attributes", str(more)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else text[:MOST_LETTERS] + " ..."
