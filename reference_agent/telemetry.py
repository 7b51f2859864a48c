"""Spans and metrics: standard names where there is a convention, `agentrig.` where there is none.

Configured by the standard `OTEL_*` variables.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode
from opentelemetry.util.types import Attributes
from typing_extensions import override

from reference_agent import contract
from reference_agent.patterns.busy_signal import BusyState
from reference_agent.patterns.client_cache import ClientInit
from reference_agent.redaction import WithoutWords, redacting

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
EXEMPLARS: Final = "OTEL_METRICS_EXEMPLAR_FILTER"
FLUSH_S = 7.0
"""Docker kills what has not left after 10 s."""
_tracer = trace.get_tracer("reference_agent")


LEFT_OUT: Final = {"chat", "execute_event_loop_cycle"}
"""Strands' own: our `chat {model}` stands for the whole logical call, retries included, and a cycle is
no more than the calls and tools in it. What is below them hangs from what is above them."""


class WithoutSome(trace.Tracer):
    """A tracer that leaves out the spans named in `LEFT_OUT`.

    Args:
        inner: makes all others.
    """

    def __init__(self, inner: trace.Tracer) -> None:
        self._inner = inner

    @override
    def start_span(self, name: str, context: Context | None = None, *args: Any, **told: Any) -> trace.Span:
        """Start a span, or hand out the one above it in a form that takes no word."""
        if name in LEFT_OUT:
            return trace.NonRecordingSpan(trace.get_current_span(context).get_span_context())
        return self._inner.start_span(name, context, *args, **told)

    @override
    def start_as_current_span(self, name: str, *args: Any, **told: Any) -> Any:
        """Start a span and make it the current one; Strands leaves none of these out."""
        return self._inner.start_as_current_span(name, *args, **told)


class Traces(TracerProvider):
    """The SDK's provider, with a tracer for Strands that leaves some spans out."""

    @override
    def get_tracer(self, instrumenting_module_name: str, *args: Any, **told: Any) -> trace.Tracer:
        """Return a tracer."""
        tracer = super().get_tracer(instrumenting_module_name, *args, **told)
        return WithoutSome(tracer) if instrumenting_module_name.startswith("strands") else tracer


class _Opened:
    """The spans that a request has begun. Threads that outlive it keep the object, not the spans."""

    def __init__(self) -> None:
        self.spans: list[Span] | None = []


_opened: ContextVar[_Opened | None] = ContextVar("opened", default=None)


class Remembering(SpanProcessor):
    """Remembers the spans that a request begins, for `all_ended`."""

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember a span."""
        opened = _opened.get()
        if opened is not None and opened.spans is not None:
            opened.spans.append(span)


@contextmanager
def all_ended() -> Iterator[None]:
    """End, on leaving, the spans that were begun within and never ended.

    Strands leaves those of its cycles and tools open when it is cancelled: their children would
    point to spans that never arrive.
    """
    opened = _Opened()
    _opened.set(opened)
    try:
        yield
    finally:
        spans, opened.spans = opened.spans, None
        for span in reversed(spans or []):
            if span.is_recording():
                span.set_attribute("error.type", "cancelled")
                span.end()


class WithoutStrands(MeterProvider):
    """Counts nothing for Strands.

    It labels its metrics by request, which is a new series, and memory, for each; ours say the same.
    """

    @override
    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> metrics.Meter:
        """Return a meter, for Strands one that does nothing."""
        if name.startswith("strands."):
            return metrics.NoOpMeter(name)
        return super().get_meter(name, version, schema_url, attributes)


class Telemetry:
    """The providers of this process, set up once.

    Args:
        span_processors: in place of an OTLP exporter, for tests.
        metric_readers: likewise.
    """

    def __init__(
        self,
        span_processors: Sequence[SpanProcessor] | None = None,
        metric_readers: Sequence[MetricReader] | None = None,
    ) -> None:
        exporting = bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))
        resource = Resource.create()
        self.traces = Traces(resource=resource, shutdown_on_exit=False)
        if span_processors is None:
            span_processors = [BatchSpanProcessor(OTLPSpanExporter())] if exporting else []
        if span_processors:
            self.traces.add_span_processor(Remembering())
        for processor in span_processors:
            self.traces.add_span_processor(WithoutWords(processor) if redacting() else processor)
        if metric_readers is None:
            metric_readers = [PrometheusMetricReader(scope_info_enabled=False)]
            # Every reader counts for itself. Who scrapes /metrics needs no second one.
            if exporting and "otlp" in os.environ.get("OTEL_METRICS_EXPORTER", ""):
                metric_readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
        self.metrics = WithoutStrands(
            resource=resource,
            metric_readers=metric_readers,
            views=views(),
            # They cost a third of a measurement, and `/metrics` can't show them.
            exemplar_filter=None
            if "OTEL_METRICS_EXEMPLAR_FILTER" in os.environ
            else AlwaysOffExemplarFilter(),
            shutdown_on_exit=False,
        )

    def install(self) -> None:
        """Make them the process's own, unless telemetry is switched off."""
        if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return
        trace.set_tracer_provider(self.traces)
        metrics.set_meter_provider(self.metrics)

    def shutdown(self) -> None:
        """Hand in what is left; a receiver that is gone doesn't keep the container for long."""
        leaving = [
            threading.Thread(target=provider.shutdown, daemon=True)
            for provider in (self.traces, self.metrics)
        ]
        for thread in leaving:
            thread.start()
        end_s = time.monotonic() + FLUSH_S
        for thread in leaving:
            thread.join(max(0.0, end_s - time.monotonic()))


def views() -> list[View]:
    """Bound what is counted: HTTP buckets end at 10 s, and `agentrig.inflight` says what is active."""
    seconds = ExplicitBucketHistogramAggregation(SECONDS)
    return [
        View(instrument_name="http.server.active_requests", aggregation=DropAggregation()),
        View(instrument_name="http.server.request.duration", aggregation=seconds),
        View(instrument_name="gen_ai.client.operation.duration", aggregation=seconds),
        View(instrument_name="agentrig.*.duration", aggregation=seconds),
        View(instrument_name="agentrig.retry.delay", aggregation=seconds),
    ]


class Instruments:
    """What this agent counts, beyond what the instrumentation of its libraries does.

    Args:
        meter: None for the process's own.
    """

    def __init__(self, meter: metrics.Meter | None = None) -> None:
        meter = meter or metrics.get_meter("reference_agent")
        self._state: BusyState | None = None
        self.init_duration = meter.create_histogram(
            "agentrig.client.init.duration", "s", "how long building a client took"
        )
        self.attempts = meter.create_counter(
            "agentrig.client.attempts", "{attempt}", "model calls by outcome"
        )
        self.retry_delay = meter.create_histogram("agentrig.retry.delay", "s", "backoff before a retry")
        self.operation_duration: Histogram = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "logical model calls, retries included"
        )
        self.token_usage: Histogram = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "tokens a call used"
        )
        self._watch(meter)

    def busy(self, state: BusyState) -> None:
        """Take the state of the busy signal; it is read when metrics are collected."""
        self._state = state

    def _watch(self, meter: metrics.Meter) -> None:
        def gauge(read: Callable[[BusyState], int]) -> Callable[[Any], list[metrics.Observation]]:
            return lambda _options: [metrics.Observation(read(self._state))] if self._state else []

        meter.create_observable_up_down_counter(
            "agentrig.inflight", [gauge(lambda s: s.in_flight)], description="requests in work"
        )
        meter.create_observable_gauge(
            "agentrig.inflight.limit", [gauge(lambda s: s.limit)], description="requests at once, at most"
        )
        meter.create_observable_gauge(
            "agentrig.busy", [gauge(lambda s: int(s.busy))], description="1 while no slot is free"
        )
        meter.create_observable_counter(
            "agentrig.rejections", [gauge(lambda s: s.rejections)], description="refusals at the limit"
        )


class InitRecorder:
    """The client cache's hook: a span and a sample for each build.

    The hook is called when a build has ended, in the context of the request that pays for it.
    """

    def __init__(self, instruments: Instruments, now_ns: Callable[[], int]) -> None:
        self._instruments = instruments
        self._now_ns = now_ns

    def __call__(self, init: ClientInit) -> None:
        """Record one build."""
        end_ns = self._now_ns()
        attributes = {
            contract.CLIENT_NAME: init.name,
            contract.CLIENT_INIT_STATE: init.state,
            contract.CLIENT_INIT_REASON: init.reason,
        }
        start_ns = end_ns - int(init.duration_s * 1e9)
        span = _tracer.start_span(f"client.init {init.name}", attributes=attributes, start_time=start_ns)
        if init.error is not None:
            span.set_attribute("error.type", type(init.error).__name__)
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_ns)
        self._instruments.init_duration.record(init.duration_s, {contract.CLIENT_NAME: init.name})
