import threading
from unittest.mock import create_autospec

import pytest
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from reference_agent.telemetry import providers
from reference_agent.telemetry.providers import Telemetry


def test_without_a_caller_it_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    tracer = Telemetry([], []).traces.get_tracer("t")
    assert not tracer.start_span("x").is_recording()
    monkeypatch.delenv("OTEL_TRACES_SAMPLER")
    tracer = Telemetry([], []).traces.get_tracer("t")
    assert tracer.start_span("x").is_recording()


@pytest.mark.parametrize(("usual_s", "told_ms"), [(0.0, ""), (3600.0, "0")])
def test_a_receiver_that_is_gone_does_not_keep_the_container(
    monkeypatch: pytest.MonkeyPatch, usual_s: float, told_ms: str
) -> None:
    monkeypatch.setattr("reference_agent.telemetry.providers.FLUSH_S", usual_s)
    monkeypatch.setenv("OTEL_BSP_EXPORT_TIMEOUT", told_ms)
    back = threading.Event()

    class Stuck(SpanProcessor):
        def shutdown(self) -> None:
            back.wait()

    Telemetry([Stuck()], []).shutdown()
    assert not back.is_set()
    back.set()


def test_what_is_left_is_handed_in_at_the_end() -> None:
    told: list[str] = []

    class Listening(SpanProcessor):
        def shutdown(self) -> None:
            told.append("spans")

    Telemetry([Listening()], []).shutdown()
    assert told == ["spans"]


ENDPOINT, OF_TRACES, OF_METRICS = (
    f"OTEL_EXPORTER_OTLP_{which}ENDPOINT" for which in ("", "TRACES_", "METRICS_")
)
HERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("environment", "spans", "metrics"),
    [
        ({}, False, False),
        ({ENDPOINT: HERE}, True, False),
        ({OF_TRACES: HERE}, True, False),
        ({OF_METRICS: HERE, "OTEL_METRICS_EXPORTER": "otlp"}, False, True),
        ({ENDPOINT: HERE, "OTEL_METRICS_EXPORTER": "otlp"}, True, True),
        ({OF_TRACES: HERE, "OTEL_METRICS_EXPORTER": "otlp"}, True, False),
        ({ENDPOINT: HERE, "OTEL_TRACES_EXPORTER": "none"}, False, False),
        ({ENDPOINT: ""}, False, False),
    ],
)
def test_what_is_exported_is_what_the_environment_names_a_receiver_for(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *, spans: bool, metrics: bool
) -> None:
    for name in (ENDPOINT, OF_TRACES, OF_METRICS, "OTEL_METRICS_EXPORTER", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    batching = create_autospec(BatchSpanProcessor)
    pushing = create_autospec(PeriodicExportingMetricReader)
    monkeypatch.setattr(providers, "BatchSpanProcessor", batching)
    monkeypatch.setattr(providers, "PeriodicExportingMetricReader", pushing)
    monkeypatch.setattr(
        providers, "FilteringMeterProvider", create_autospec(providers.FilteringMeterProvider)
    )
    Telemetry()
    assert (batching.called, pushing.called) == (spans, metrics)
