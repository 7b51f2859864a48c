"""What Strands sends by itself and this agent drops: spans that say twice the same, metrics by request."""

from __future__ import annotations

from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util.types import Attributes
from typing_extensions import override

DROPPED_SPANS: Final = {"chat", "execute_event_loop_cycle"}
"""Strands' own: our `chat {model}` stands for the whole logical call, retries included, and a cycle is
no more than the calls and tools in it. Their children become children of the span above them."""


class FilteringTracer(trace.Tracer):
    """A tracer that drops the spans named in `DROPPED_SPANS`.

    Args:
        inner: makes all others.
    """

    def __init__(self, inner: trace.Tracer) -> None:
        self._inner = inner

    @override
    def start_span(self, name: str, context: Context | None = None, *args: Any, **options: Any) -> trace.Span:
        """Start a span, or return a non-recording one with the context of the span above it."""
        if name in DROPPED_SPANS:
            return trace.NonRecordingSpan(trace.get_current_span(context).get_span_context())
        return self._inner.start_span(name, context, *args, **options)

    @override
    def start_as_current_span(self, name: str, *args: Any, **options: Any) -> Any:
        """Start a span and make it the current one; none that Strands starts like this is dropped."""
        return self._inner.start_as_current_span(name, *args, **options)


class FilteringTracerProvider(TracerProvider):
    """The SDK's provider, with a filtering tracer for Strands."""

    @override
    def get_tracer(self, instrumenting_module_name: str, *args: Any, **options: Any) -> trace.Tracer:
        """Return a tracer."""
        tracer = super().get_tracer(instrumenting_module_name, *args, **options)
        return FilteringTracer(tracer) if instrumenting_module_name.startswith("strands") else tracer


class FilteringMeterProvider(MeterProvider):
    """The SDK's provider, with a meter for Strands that records nothing.

    Strands labels its metrics by request, which is a new time series, and memory, for each; this agent's
    own instruments count the same.
    """

    @override
    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> metrics.Meter:
        """Return a meter, for Strands one that records nothing."""
        if name.startswith("strands."):
            return metrics.NoOpMeter(name)
        return super().get_meter(name, version, schema_url, attributes)
