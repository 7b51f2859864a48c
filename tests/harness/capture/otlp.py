"""OTLP requests to test with."""

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE_ID = bytes(range(16))
SPAN_ID = bytes(range(8))
PARENT_ID = bytes(range(8, 16))
START_NS = 1_700_000_000_123_456_789


def request(name: str = "GET /ping", **resource: str) -> ExportTraceServiceRequest:
    """One span with an attribute of every type, an event and a link."""
    message = ExportTraceServiceRequest()
    entry = message.resource_spans.add(schema_url="https://example.test/schema")
    for key, value in ({"service.name": "agent", "service.instance.id": "agent-1"} | resource).items():
        entry.resource.attributes.add(key=key).value.string_value = value
    scope = entry.scope_spans.add()
    scope.scope.name, scope.scope.version = "a-library", "1.2"
    span = scope.spans.add(
        trace_id=TRACE_ID,
        span_id=SPAN_ID,
        parent_span_id=PARENT_ID,
        name=name,
        kind=3,
        start_time_unix_nano=START_NS,
        end_time_unix_nano=START_NS + 2_000_000,
        trace_state="a=b",
        flags=257,
        dropped_attributes_count=2,
    )
    span.status.code, span.status.message = 2, "it broke"
    attributes(span.attributes)
    event = span.events.add(name="agentrig.retry", time_unix_nano=START_NS + 1)
    event.attributes.add(key="agentrig.retry.delay").value.double_value = 0.25
    span.links.add(trace_id=TRACE_ID, span_id=PARENT_ID)
    return message


def attributes(holder: Any) -> None:
    holder.add(key="text").value.string_value = "grün"
    holder.add(key="whole").value.int_value = 2**53 + 1
    holder.add(key="real").value.double_value = 0.5
    holder.add(key="endless").value.double_value = float("inf")
    holder.add(key="yes").value.bool_value = True
    holder.add(key="raw").value.bytes_value = b"\x00\xff"
    listed = holder.add(key="list").value.array_value.values
    listed.add().string_value = "a"
    listed.add().int_value = 0
    holder.add(key="map").value.kvlist_value.values.add(key="k").value.int_value = 7
    holder.add(key="nothing")
