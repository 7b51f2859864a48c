"""What is written here must say what the stock encoder says."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from reference_agent.otlp import LONGEST_KEPT, LeanSpanExporter, encoded

words = st.text(max_size=2 * LONGEST_KEPT)
values = st.one_of(
    words,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(st.text(max_size=5), max_size=3).map(tuple),
)
attributes = st.dictionaries(st.text(min_size=1, max_size=20), values, max_size=6)
times_ns = st.integers(0, 2**63)
contexts = st.builds(
    SpanContext,
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    is_remote=st.booleans(),
    trace_flags=st.just(TraceFlags(TraceFlags.SAMPLED)),
    trace_state=st.sampled_from([TraceState(), TraceState([("vendor", "x")])]),
)
statuses = st.one_of(
    st.sampled_from([Status(), Status(StatusCode.OK)]),
    st.builds(Status, st.just(StatusCode.ERROR), st.one_of(st.none(), words)),
)
spans = st.builds(
    ReadableSpan,
    name=words,
    context=contexts,
    parent=st.one_of(st.none(), contexts),
    resource=st.sampled_from([Resource({"service.name": "agent"}), Resource({}, "https://a.schema")]),
    attributes=attributes,
    events=st.lists(st.builds(Event, words, attributes, times_ns), max_size=3),
    links=st.lists(st.builds(Link, contexts, attributes), max_size=1),
    kind=st.sampled_from(SpanKind),
    status=statuses,
    start_time=times_ns,
    end_time=times_ns,
    instrumentation_scope=st.sampled_from(
        [InstrumentationScope("one", "1", "https://b.schema"), InstrumentationScope("two")]
    ),
)


def told(request: ExportTraceServiceRequest) -> list[tuple[bytes, ...]]:
    """Return each span with its resource and scope, in an order of their own."""
    return sorted(
        (
            resource.resource.SerializeToString(deterministic=True),
            resource.schema_url.encode(),
            scope.scope.SerializeToString(deterministic=True),
            scope.schema_url.encode(),
            span.SerializeToString(deterministic=True),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )


@given(st.lists(spans, min_size=1, max_size=4))
def test_any_spans_are_written_as_the_stock_encoder_writes_them(batch: Sequence[ReadableSpan]) -> None:
    assert told(ExportTraceServiceRequest.FromString(encoded(batch))) == told(encode_spans(batch))


def test_equal_values_of_different_types_stay_apart() -> None:
    context = SpanContext(1, 1, is_remote=False)
    batch = [
        ReadableSpan("a", context, attributes={"x": value}, instrumentation_scope=InstrumentationScope("one"))
        for value in (1, True, 1.0, "1")
    ]
    kinds = [
        span.attributes[0].value.WhichOneof("value")
        for span in ExportTraceServiceRequest.FromString(encoded(batch))
        .resource_spans[0]
        .scope_spans[0]
        .spans
    ]
    assert kinds == ["int_value", "bool_value", "double_value", "string_value"]


def test_half_a_surrogate_costs_a_character_and_not_the_batch() -> None:
    span = ReadableSpan("a", SpanContext(1, 1, is_remote=False), attributes={"x": "a\ud800b"})
    written = ExportTraceServiceRequest.FromString(encoded([span])).resource_spans[0].scope_spans[0].spans[0]
    assert written.attributes[0].value.string_value == "a?b"


def test_the_exporter_sends_those_bytes_and_tells_whether_they_arrived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Client:
        def __init__(self, *, success: bool) -> None:
            self.success = success
            self.sent: list[bytes] = []

        def export(self, body: bytes) -> "Client":
            self.sent.append(body)
            return self

    batch = [ReadableSpan("a", SpanContext(1, 1, is_remote=False))]
    exporter = LeanSpanExporter(endpoint="http://127.0.0.1:1/v1/traces")
    for success, expected in ((True, SpanExportResult.SUCCESS), (False, SpanExportResult.FAILURE)):
        client = Client(success=success)
        monkeypatch.setattr(exporter, "_client", client)
        assert exporter.export(batch) is expected
        assert client.sent == [encoded(batch)]
