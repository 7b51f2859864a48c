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

from harness import contract
from harness.simulator.wire.protocol import ModelAnswer, Received

TRACEPARENT = re.compile(
    rb"^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$", re.IGNORECASE
)
"""Ids are in lower case by the standard; who writes them in upper case is understood nevertheless."""
PROVIDERS = {
    "openai": "openai",
    "azure": "azure.ai.openai",
    "anthropic": "anthropic",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
}
"""Names of `gen_ai.provider.name`."""
ERROR_FROM = 500


@dataclass(slots=True)
class CallSpan:
    """The span of one call, and where in its caller's trace it stands.

    Attributes:
        span: None when nothing is exported.
        trace_id, parent_span_id: the caller's, None when it sent no `traceparent`.
    """

    span: Span | None
    trace_id: str | None
    parent_span_id: str | None

    def end(
        self,
        decision: str,
        status: int,
        attempt: int,
        answer: ModelAnswer,
        first_chunk_s: float | None = None,
    ) -> None:
        """End it with what was served; a stream's first part was due after `first_chunk_s`."""
        if self.span is None:
            return
        attributes: dict[str, str | int | float] = {
            contract.SIMULATOR_DECISION: decision,
            contract.SIMULATOR_ATTEMPT: attempt,
        }
        if status:
            attributes["http.response.status_code"] = status
        if decision == "ok":
            attributes["gen_ai.response.model"] = answer.model
            attributes["gen_ai.usage.input_tokens"] = answer.input_tokens
            attributes["gen_ai.usage.output_tokens"] = answer.tokens
            if first_chunk_s is not None:
                attributes[contract.FIRST_CHUNK_S] = first_chunk_s
        else:
            attributes["error.type"] = decision
        self.span.set_attributes(attributes)
        if not status or status >= ERROR_FROM:
            self.span.set_status(Status(StatusCode.ERROR))
        self.span.end()


UNTRACED = CallSpan(None, None, None)


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

    def start(self, headers: Received, provider: str, operation: str, model: str) -> CallSpan:
        """Start the span of a call, below the caller's where it sent a `traceparent`."""
        traceparent = headers.get(b"traceparent")
        if traceparent is None and self._tracer is None:
            return UNTRACED
        found = TRACEPARENT.match(traceparent or b"")
        trace_id, parent = (found[1].decode().lower(), found[2].decode().lower()) if found else (None, None)
        if self._tracer is None:
            return CallSpan(None, trace_id, parent)
        context = None
        if found is not None:
            flags = TraceFlags(int(found[3], 16))
            above = SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=flags)
            context = trace.set_span_in_context(NonRecordingSpan(above))
        span = self._tracer.start_span(
            f"{operation} {model}",
            context=context,
            kind=SpanKind.SERVER,
            attributes={
                "gen_ai.operation.name": operation,
                "gen_ai.provider.name": PROVIDERS[provider],
                "gen_ai.request.model": model,
            },
        )
        return CallSpan(span, trace_id, parent)

    def shutdown(self) -> None:
        """Hand in what is left."""
        if self._provider is not None:
            self._provider.shutdown()
