"""The tracer and meter providers of the process: where spans and metrics go."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from typing_extensions import override

from reference_agent.telemetry import encoder
from reference_agent.telemetry.instruments import views
from reference_agent.telemetry.open_spans import OpenSpanTracker
from reference_agent.telemetry.redaction import RedactingSpanProcessor
from reference_agent.telemetry.strands_filter import FilteringMeterProvider, FilteringTracerProvider

EXEMPLARS: Final = "OTEL_METRICS_EXEMPLAR_FILTER"
FLUSH_S = 2.0
"""Docker kills what has not left after 10 s, and half of that is for requests in work. Who gives more time
says so by `OTEL_BSP_EXPORT_TIMEOUT`."""


class SystemIds(IdGenerator):
    """Ids of the system: Python's own generator draws the same in all that one snapshot is restored to."""

    @override
    def generate_span_id(self) -> int:
        """Return one that is not 0, which stands for none."""
        return int.from_bytes(os.urandom(8)) or self.generate_span_id()

    @override
    def generate_trace_id(self) -> int:
        """Return one that is not 0, which stands for none."""
        return int.from_bytes(os.urandom(16)) or self.generate_trace_id()


class Telemetry:
    """The providers of this process, set up once.

    Args:
        span_processors: in place of an OTLP exporter, for tests.
        metric_readers: likewise.
        words: whether spans are sent with what may hold words of prompts, answers, tools and errors.
    """

    def __init__(
        self,
        span_processors: Sequence[SpanProcessor] | None = None,
        metric_readers: Sequence[MetricReader] | None = None,
        *,
        words: bool = False,
    ) -> None:
        resource = Resource.create()
        self.traces = FilteringTracerProvider(
            resource=resource, id_generator=SystemIds(), shutdown_on_exit=False
        )
        if span_processors is None:
            encoder.install()
            span_processors = [BatchSpanProcessor(OTLPSpanExporter())] if _exports("TRACES") else []
        if span_processors:
            self.traces.add_span_processor(OpenSpanTracker())
        for processor in span_processors:
            self.traces.add_span_processor(processor if words else RedactingSpanProcessor(processor))
        self.metrics = FilteringMeterProvider(
            resource=resource,
            metric_readers=_readers() if metric_readers is None else metric_readers,
            views=views(),
            # They cost a third of a measurement, and `/metrics` can't show them.
            exemplar_filter=None if EXEMPLARS in os.environ else AlwaysOffExemplarFilter(),
            shutdown_on_exit=False,
        )

    def install(self) -> None:
        """Make them the process's own, unless telemetry is switched off."""
        if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return
        trace.set_tracer_provider(self.traces)
        metrics.set_meter_provider(self.metrics)

    def shutdown(self) -> None:
        """Export what is left; a receiver that is gone doesn't keep the container for long."""
        threads = [
            threading.Thread(target=provider.shutdown, daemon=True)
            for provider in (self.traces, self.metrics)
        ]
        for thread in threads:
            thread.start()
        told_ms = os.environ.get("OTEL_BSP_EXPORT_TIMEOUT", "")
        end_s = time.monotonic() + (int(told_ms) / 1000 if told_ms.isdecimal() else FLUSH_S)
        for thread in threads:
            thread.join(max(0.0, end_s - time.monotonic()))


def _exports(signal: str) -> bool:
    """Return whether the environment names a receiver for `TRACES` or `METRICS`, and does not say "none"."""
    named = any(os.environ.get(f"OTEL_EXPORTER_OTLP_{which}ENDPOINT") for which in ("", f"{signal}_"))
    return named and os.environ.get(f"OTEL_{signal}_EXPORTER", "").strip() != "none"


def _readers() -> Sequence[MetricReader]:
    scraped = PrometheusMetricReader(scope_info_enabled=False)
    # Every reader counts for itself. Who scrapes /metrics needs no second one.
    if _exports("METRICS") and "otlp" in os.environ.get("OTEL_METRICS_EXPORTER", ""):
        return [scraped, PeriodicExportingMetricReader(OTLPMetricExporter())]
    return [scraped]
