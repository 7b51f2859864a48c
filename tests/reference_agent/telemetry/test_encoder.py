"""What is sent is what the SDK's own encoder would send."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

from reference_agent.telemetry import encoder
from reference_agent.telemetry.encoder import encoded
from tests.reference_agent.rig import Tools, rig, run
from tests.reference_agent.wire import calls_tool, refuses, says

SCALARS = st.text() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
VALUES = SCALARS | st.lists(st.text(), max_size=3) | st.lists(st.integers(0, 9), max_size=3)
ATTRIBUTES = st.dictionaries(st.text(min_size=1), VALUES, max_size=5)
REMOTE = SpanContext(1, 2, is_remote=True)


def by_span(request: ExportTraceServiceRequest) -> dict[bytes, tuple[str, str, str, str]]:
    """Return each span with all that is said of it, wherever it stands."""
    return {
        span.span_id: (str(of.resource), of.schema_url, str((group.scope, group.schema_url)), str(span))
        for of in request.resource_spans
        for group in of.scope_spans
        for span in group.spans
    }


def same(spans: Sequence[ReadableSpan]) -> None:
    assert by_span(encoded(spans)) == by_span(encode_spans(spans))
    assert len(by_span(encoded(spans))) == len(spans)


@given(ATTRIBUTES, ATTRIBUTES, st.sampled_from(SpanKind), st.sampled_from(StatusCode))
def test_any_span(attributes: Any, of_event: Any, kind: SpanKind, status: StatusCode) -> None:
    kept = InMemorySpanExporter()
    traces = TracerProvider(resource=Resource({"service.name": "a"}))
    traces.add_span_processor(SimpleSpanProcessor(kept))
    tracer = traces.get_tracer("a", "1", schema_url="s")
    with tracer.start_as_current_span("above", kind=kind, attributes=attributes) as span:
        span.add_event("event", of_event)
        span.set_status(Status(status, "why"))
        tracer.start_span("below", attributes={"one": 1, "true": True, "float": 1.0}).end()
        traces.get_tracer("another").start_span("linked", links=[Link(REMOTE, {"a": "b"})]).end()
    same(kept.get_finished_spans())


@pytest.mark.parametrize("state", [None, TraceState([("k", "v")])])
def test_a_span_below_a_caller(state: TraceState | None) -> None:
    kept = InMemorySpanExporter()
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(kept))
    parent = SpanContext(7, 8, is_remote=True, trace_flags=trace.TraceFlags(1), trace_state=state)
    context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
    traces.get_tracer("a").start_span("x", context).end()
    same(kept.get_finished_spans())


def test_the_spans_of_a_turn(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async def work() -> None:
        replies = (calls_tool("search"), refuses(503), says("found"), refuses(400))
        async with rig(tmp_path, *replies, tools=Tools) as agent:
            await agent.ask()
            await agent.ask()

    run(work())
    got = spans.get_finished_spans()
    assert len({span.name for span in got}) > 6
    same(got)
    assert len(encoded(got).resource_spans) == 1


def test_the_real_exporter_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_exporter, "encode_spans", encode_spans)
    taken: list[int] = []
    monkeypatch.setattr(encoder, "encoded", lambda spans: taken.append(len(spans)))
    encoder.install()
    OTLPSpanExporter(endpoint="http://127.0.0.1:9").export([])  # what comes of no message is no request
    assert taken == [0]


@pytest.mark.parametrize("value", ["half of a pair: \ud800", 2**63])
def test_what_cannot_be_encoded_costs_its_own_value_alone(value: Any) -> None:
    kept = InMemorySpanExporter()
    traces = TracerProvider(resource=Resource({"service.name": "a"}))
    traces.add_span_processor(SimpleSpanProcessor(kept))
    tracer = traces.get_tracer("t")
    for attributes in ({"good": 1}, {"good": 2, "bad": value}, {"good": 3}):
        tracer.start_span("work", attributes=attributes).end()
    spans = by_span(encoded(kept.get_finished_spans()))
    assert len(spans) == 3
    assert sum("good" in span for *_, span in spans.values()) == 3
