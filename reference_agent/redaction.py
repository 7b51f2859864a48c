"""Keeps what people and providers said out of the telemetry, unless it is asked for by hand.

Strands puts prompts and answers into span events; told by `OTEL_SEMCONV_STABILITY_OPT_IN`, it
redacts them. Exceptions are a second way: a provider's error quotes the prompt, or the key.
"""

from __future__ import annotations

import os
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import Status
from typing_extensions import override

OPT_IN: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"
REDACTED: Final = "http,gen_ai_latest_experimental,gen_ai_unredacted_attributes="
WORDS: Final = {"exception.message", "exception.stacktrace"}


def redact_by_default() -> None:
    """Ask Strands for redacted messages; to be called before it is imported."""
    os.environ.setdefault(OPT_IN, REDACTED)


def redacting() -> bool:
    """Return whether Strands redacts."""
    return "gen_ai_unredacted_attributes=" in os.environ.get(OPT_IN, REDACTED)


class WithoutWords(SpanProcessor):
    """Hands spans on without the words of exceptions; their types stay.

    Args:
        then: where they go.
    """

    def __init__(self, then: SpanProcessor) -> None:
        self._then = then

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Pass it on."""
        self._then.on_start(span, parent_context)

    @override
    def on_end(self, span: ReadableSpan) -> None:
        """Pass it on, as a copy without words where it has some."""
        wordy = span.status.description or any(event.name == "exception" for event in span.events)
        self._then.on_end(_bare(span) if wordy else span)

    @override
    def shutdown(self) -> None:
        """Pass it on."""
        self._then.shutdown()

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass it on."""
        return self._then.force_flush(timeout_millis)


def _bare(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=[_bare_event(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _bare_event(event: Event) -> Event:
    kept = {name: value for name, value in (event.attributes or {}).items() if name not in WORDS}
    return Event(event.name, kept, event.timestamp)
