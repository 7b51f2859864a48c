"""Messages of exceptions are kept out of the spans."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from reference_agent.telemetry.redaction import DEFAULT_OPT_IN, OPT_IN, RedactingSpanProcessor, redacting


def test_exceptions_keep_their_types_and_lose_their_words() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(RedactingSpanProcessor(SimpleSpanProcessor(exporter)))
    span = provider.get_tracer("t").start_span("work", attributes={"kept": 1})
    span.add_event("other", {"kept": 2})
    span.record_exception(ValueError("a secret"))
    span.set_status(Status(StatusCode.ERROR, "a secret"))
    span.end()
    (got,) = exporter.get_finished_spans()
    assert "a secret" not in got.to_json()
    assert got.status.status_code is StatusCode.ERROR
    assert got.attributes == {"kept": 1}
    assert [(event.name, dict(event.attributes or {})) for event in got.events] == [
        ("other", {"kept": 2}),
        ("exception", {"exception.type": "ValueError", "exception.escaped": "False"}),
    ]
    assert (got.start_time, got.end_time) == (span.start_time, span.end_time)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("opted", "expected"),
    [(None, True), (DEFAULT_OPT_IN, True), ("http", False), ("http,gen_ai_unredacted_attributes=x", True)],
)
def test_words_are_kept_only_when_somebody_asked_for_them(
    monkeypatch: pytest.MonkeyPatch, opted: str | None, *, expected: bool
) -> None:
    monkeypatch.delenv(OPT_IN, raising=False)
    if opted is not None:
        monkeypatch.setenv(OPT_IN, opted)
    assert redacting() is expected
