"""Ends the spans that a request began and left open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor
from typing_extensions import override


class _RequestSpans:
    """The spans that a request has begun. Threads that outlive it keep the object, not the spans."""

    def __init__(self) -> None:
        self.begun: list[Span] | None = []


_of_request: ContextVar[_RequestSpans | None] = ContextVar("request_spans", default=None)


class OpenSpanTracker(SpanProcessor):
    """Keeps the spans that a request begins, for `end_open_spans`."""

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Keep a span."""
        spans = _of_request.get()
        if spans is not None and spans.begun is not None:
            spans.begun.append(span)


@contextmanager
def end_open_spans() -> Iterator[None]:
    """End, on leaving, the spans that were begun within and never ended.

    Strands leaves those of its cycles and tools open when it is cancelled: their children would
    point to spans that never arrive.
    """
    spans = _RequestSpans()
    _of_request.set(spans)
    try:
        yield
    finally:
        begun, spans.begun = spans.begun, None
        for span in reversed(begun or []):
            if span.is_recording():
                span.set_attribute("error.type", "cancelled")
                span.end()
