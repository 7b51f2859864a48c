"""No words in the telemetry, whatever the environment says, unless our own variable asks for them."""

import os
from collections.abc import Callable

import pytest
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, Status, StatusCode
from strands.telemetry.tracer import Tracer

from reference_agent.telemetry.redaction import OPT_IN, RedactingSpanProcessor, settle_conventions
from tests.reference_agent.telemetry.opt_ins import COMBINATIONS


def sent(work: Callable[[Span], None]) -> str:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(RedactingSpanProcessor(SimpleSpanProcessor(exporter)))
    span = provider.get_tracer("t").start_span("work")
    assert isinstance(span, Span)
    work(span)
    span.end()
    (got,) = exporter.get_finished_spans()
    return got.to_json()


def test_exceptions_keep_their_types_and_lose_their_words() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(RedactingSpanProcessor(SimpleSpanProcessor(exporter)))
    span = provider.get_tracer("t").start_span("work", attributes={"agentrig.kept": 1})
    span.add_event("other", {"agentrig.kept": 2})
    span.record_exception(ValueError("a secret"))
    span.set_status(Status(StatusCode.ERROR, "a secret"))
    span.end()
    (got,) = exporter.get_finished_spans()
    assert "a secret" not in got.to_json()
    assert got.status.status_code is StatusCode.ERROR
    assert got.attributes == {"agentrig.kept": 1}
    assert [(event.name, dict(event.attributes or {})) for event in got.events] == [
        ("other", {"agentrig.kept": 2}),
        ("exception", {"exception.type": "ValueError"}),
    ]
    assert (got.start_time, got.end_time) == (span.start_time, span.end_time)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name",
    [
        *("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.prompt"),
        *("gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.tool.definitions", "content"),
        *("memory.query", "url.query", "url.full", "http.target", "http.url", "user_agent.original"),
        *("http.request.header.authorization", "http.response.header.x", "db.query.text", "what.comes.next"),
    ],
)
def test_an_attribute_is_sent_only_when_it_is_known_to_hold_no_words(name: str) -> None:
    context = SpanContext(1, 1, is_remote=True)
    assert "canary" not in sent(lambda span: span.set_attribute(name, "canary"))
    assert "canary" not in sent(lambda span: span.add_event("an event", {name: "canary"}))
    assert "canary" not in sent(lambda span: span.add_link(context, {name: "canary"}))


@pytest.mark.parametrize("opted", [None, *COMBINATIONS])
def test_strands_redacts_and_http_has_its_stable_names_whatever_is_opted_for(
    monkeypatch: pytest.MonkeyPatch, opted: str | None
) -> None:
    monkeypatch.delenv(OPT_IN, raising=False)
    if opted is not None:
        monkeypatch.setenv(OPT_IN, opted)
    settle_conventions(words=False)
    told = os.environ[OPT_IN].split(",")
    assert [token for token in told if token.startswith("http")] == ["http"]
    assert [token for token in told if token.startswith("gen_ai_unred")] == ["gen_ai_unredacted_attributes="]
    assert set(told) >= {token for token in (opted or "").split(",") if token.startswith("database")}
    tracer = Tracer()
    assert tracer.use_latest_genai_conventions


def test_words_that_were_asked_for_are_shown_but_for_what_the_operator_keeps_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(OPT_IN, "database,gen_ai_unredacted_attributes=gen_ai.input.*")
    settle_conventions(words=True)
    assert os.environ[OPT_IN] == (
        "http,gen_ai_latest_experimental,database,gen_ai_unredacted_attributes=gen_ai.input.*"
    )
    monkeypatch.setenv(OPT_IN, "")
    settle_conventions(words=True)
    assert os.environ[OPT_IN] == "http,gen_ai_latest_experimental"
