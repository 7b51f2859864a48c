from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reference_agent.telemetry.instruments import views
from reference_agent.telemetry.providers import Telemetry
from reference_agent.telemetry.strands_filter import FilteringMeterProvider


def test_what_strands_counts_by_request_is_not_counted() -> None:
    reader = InMemoryMetricReader()
    provider = FilteringMeterProvider(metric_readers=[reader], views=views())
    provider.get_meter("strands.telemetry.metrics").create_counter("strands.cycles").add(1, {"id": "a uuid"})
    provider.get_meter("another").create_counter("other").add(1)
    data: Any = reader.get_metrics_data()
    assert [metric.name for metric in data.resource_metrics[0].scope_metrics[0].metrics] == ["other"]
    assert len(data.resource_metrics[0].scope_metrics) == 1


@pytest.mark.parametrize("name", ["chat", "execute_event_loop_cycle"])
def test_what_strands_calls_so_is_left_out_and_its_children_hang_from_what_is_above(name: str) -> None:
    kept = InMemorySpanExporter()
    traces = Telemetry([SimpleSpanProcessor(kept)], []).traces
    strands, ours = traces.get_tracer("strands-agents"), traces.get_tracer("reference_agent")
    with strands.start_as_current_span("invoke_agent") as above:
        with trace.use_span(strands.start_span(name)):
            ours.start_span("child").end()
        ours.start_span(name).end()
    got = {span.name: span for span in kept.get_finished_spans()}
    assert got["child"].parent.span_id == above.get_span_context().span_id
    assert got[name].instrumentation_scope.name == "reference_agent"
    assert len(got) == 3
