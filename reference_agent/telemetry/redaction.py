"""Redacts prompts, answers and keys from the telemetry, unless the environment asks for them.

Strands puts prompts and answers into span events, and redacts them where
`OTEL_SEMCONV_STABILITY_OPT_IN` says so. Exceptions are a second way: a provider's error message quotes
the prompt, or the key.
"""

from __future__ import annotations

import os
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import Status
from typing_extensions import override

OPT_IN: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"
DEFAULT_OPT_IN: Final = "http,gen_ai_latest_experimental,gen_ai_unredacted_attributes="
REDACTED_ATTRIBUTES: Final = {"exception.message", "exception.stacktrace"}


def redact_by_default() -> None:
    """Ask Strands for redacted messages; to be called before it is imported."""
    os.environ.setdefault(OPT_IN, DEFAULT_OPT_IN)


def redacting() -> bool:
    """Return whether Strands redacts."""
    return "gen_ai_unredacted_attributes=" in os.environ.get(OPT_IN, DEFAULT_OPT_IN)


class RedactingSpanProcessor(SpanProcessor):
    """Passes spans on without the messages of exceptions; their types stay.

    Args:
        inner: where they go.
    """

    def __init__(self, inner: SpanProcessor) -> None:
        self._inner = inner

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Pass it on."""
        self._inner.on_start(span, parent_context)

    @override
    def on_end(self, span: ReadableSpan) -> None:
        """Pass it on, as a redacted copy where there is something to redact."""
        described = span.status.description or any(event.name == "exception" for event in span.events)
        self._inner.on_end(_redacted(span) if described else span)

    @override
    def shutdown(self) -> None:
        """Pass it on."""
        self._inner.shutdown()

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass it on."""
        return self._inner.force_flush(timeout_millis)


def _redacted(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=[_redacted_event(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _redacted_event(event: Event) -> Event:
    kept = {
        name: value for name, value in (event.attributes or {}).items() if name not in REDACTED_ATTRIBUTES
    }
    return Event(event.name, kept, event.timestamp)
