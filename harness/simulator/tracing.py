"""A SERVER span per call, joined to the caller's trace; nothing when no exporter is configured."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

TRACEPARENT = re.compile(rb"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")
ERROR_FROM = 500


@dataclass(frozen=True, slots=True)
class CallSpan:
    """The span of one call, and where in its caller's trace it stands."""

    span: Span | None
    trace_id: str | None
    parent_span_id: str | None

    def end(self, decision: str, status: int, attempt: int) -> None:
        """End it with what was served."""
        if self.span is None:
            return
        self.span.set_attribute("agentrig.simulator.decision", decision)
        self.span.set_attribute("agentrig.simulator.attempt", attempt)
        if status:
            self.span.set_attribute("http.response.status_code", status)
        if not status or status >= ERROR_FROM:
            self.span.set_attribute("error.type", decision)
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


class Tracing:
    """Makes the spans of a server.

    Args:
        provider: in place of one that exports as `OTEL_*` say.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider
        if provider is None and os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
            self._provider = TracerProvider(resource=Resource.create())
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("harness.simulator") if self._provider else None

    def start(self, headers: dict[bytes, bytes], model: str) -> CallSpan:
        """Start the span of a call, below the caller's where it sent a `traceparent`."""
        found = TRACEPARENT.match(headers.get(b"traceparent", b""))
        trace_id, parent = (found[1].decode(), found[2].decode()) if found else (None, None)
        if self._tracer is None:
            return CallSpan(None, trace_id, parent)
        context = None
        if trace_id is not None and parent is not None:
            above = SpanContext(int(trace_id, 16), int(parent, 16), is_remote=True, trace_flags=TraceFlags(1))
            context = trace.set_span_in_context(NonRecordingSpan(above))
        attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
        span = self._tracer.start_span(
            f"chat {model}", context=context, kind=SpanKind.SERVER, attributes=attributes
        )
        return CallSpan(span, trace_id or trace.format_trace_id(span.get_span_context().trace_id), parent)

    def shutdown(self) -> None:
        """Hand in what is left."""
        if self._provider is not None:
            self._provider.shutdown()
