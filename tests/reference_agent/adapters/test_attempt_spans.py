import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from reference_agent.adapters.attempt_spans import current_call, end_attempt, record_status, start_attempt


def test_without_a_logical_call_an_attempt_is_a_root(spans: InMemorySpanExporter) -> None:
    current_call.set(None)
    end_attempt(start_attempt("GET", "model", None, "/v1"))
    (span,) = spans.get_finished_spans()
    assert span.parent is None
    assert span.attributes == {"http.request.method": "GET", "server.address": "model", "url.path": "/v1"}


def test_an_attempt_ends_once_and_keeps_its_first_end(spans: InMemorySpanExporter) -> None:
    attempt = start_attempt("POST", "model", 81, "/v1")
    end_attempt(attempt)
    end_attempt(attempt, ValueError("too late"))
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(("status", "failed"), [(200, False), (399, False), (400, True), (529, True)])
def test_a_status_from_400_on_is_an_error(spans: InMemorySpanExporter, status: int, *, failed: bool) -> None:
    attempt = start_attempt("POST", "model", 81, "/v1")
    record_status(attempt, status)
    end_attempt(attempt)
    (span,) = spans.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes.get("error.type") == (str(status) if failed else None)
    assert (span.status.status_code is StatusCode.ERROR) == failed
