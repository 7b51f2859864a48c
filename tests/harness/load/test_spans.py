from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from harness.load.spans import client_spans
from harness.records.sent import RequestRow
from tests.harness.load.rows import START_S, row


def exported(*rows: RequestRow) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(client_spans(rows))


def spans(*rows: RequestRow) -> list[Span]:
    (resource,) = exported(*rows).resource_spans
    (scope,) = resource.scope_spans
    return list(scope.spans)


def attributes(span: Span) -> dict[str, object]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def test_each_row_is_the_root_of_the_trace_it_was_sent_with() -> None:
    first, second = spans(row(0), row(1))
    assert first.trace_id.hex() == row(0).trace_id
    assert second.span_id.hex() == row(1).span_id
    assert first.parent_span_id == b""
    assert first.kind == Span.SPAN_KIND_CLIENT


def test_a_span_lasts_from_the_sending_to_the_whole_answer() -> None:
    (span,) = spans(row(3, latency_s=0.25))
    assert span.start_time_unix_nano == round((START_S + 3.001) * 1e9)
    assert span.end_time_unix_nano == round((START_S + 3.25) * 1e9)


def test_the_service_is_the_load() -> None:
    (resource,) = exported(row(0)).resource_spans
    named = {a.key: a.value.string_value for a in resource.resource.attributes}
    assert named == {"service.name": "locust", "service.instance.id": "locust-1", "ip": "127.0.0.1"}


def test_the_root_says_scenario_and_arm_and_which_container_answered() -> None:
    upstream = "127.0.0.1:9001"
    request = ExportTraceServiceRequest.FromString(client_spans([row(5)], {upstream: "agent-2"}))
    (span,) = request.resource_spans[0].scope_spans[0].spans
    assert span.name == f"{row(5).experiment} / a"
    assert attributes(span)["agentrig.upstream.name"] == "agent-2"
    assert "agentrig.upstream.name" not in attributes(spans(row(5))[0])


def test_a_span_says_what_was_asked_and_answered() -> None:
    (span,) = spans(row(5))
    said = attributes(span)
    assert said["http.request.method"] == "POST"
    assert said["http.response.status_code"] == 200
    assert said["agentrig.request.index"] == 5
    assert said["agentrig.arm"] == "a"
    assert said["agentrig.upstream"] == "127.0.0.1:9001"
    assert said["agentrig.request.ok"] is True
    assert "error.type" not in said
    assert span.status.code == 0


def test_a_failure_is_an_error_with_its_type() -> None:
    (span,) = spans(row(0, status=429, error="HTTP 429: slow down", error_type="Throttled"))
    assert attributes(span)["error.type"] == "Throttled"
    assert attributes(span)["agentrig.request.ok"] is False
    assert span.status.message == "HTTP 429: slow down"
    assert span.status.code == 2


def test_a_call_without_an_answer_has_no_status_code() -> None:
    (span,) = spans(row(0, status=0, error="refused", error_type="ConnectionRefusedError", upstream=None))
    assert "http.response.status_code" not in attributes(span)
    assert attributes(span)["error.type"] == "ConnectionRefusedError"


def test_no_rows_make_a_valid_request_without_spans() -> None:
    assert spans() == []
