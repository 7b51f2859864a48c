"""No words of prompts, answers or errors are in a report, wherever a framework wrote them."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from harness.clock import FakeClock
from harness.observe.dialects import values
from harness.observe.limits import read
from harness.observe.look import judged, written
from harness.records.seen import Span, SpanEvent
from tests.harness.observe.seen import InMemory, look_at, spans_of
from tests.harness.observe.test_samples import STORIES
from tests.harness.observe.test_samples import spans as sample

WORDS = "please tell me why my password is xyzzy-4711"
HOLDERS = (
    *("gen_ai.prompt", "gen_ai.input.messages", "gen_ai.system_instructions", "gen_ai.completion"),
    *("llm.input_messages.0.message.content", "input.value", "output.value", "ai.prompt", "ai.response.text"),
    *("traceloop.entity.input", "tool.parameters", "http.request.body", "url.query", "db.query.text"),
)


def with_words(span: Span) -> Span:
    told = dict.fromkeys(HOLDERS, WORDS) | {"url.full": f"http://model/v1?key={WORDS}", "http.url": WORDS}
    failed = {"error.type": WORDS} if "error.type" in span.attributes else {}
    raised = SpanEvent(
        name="exception",
        time_ns=span.start_ns,
        attributes={"exception.message": WORDS, "exception.stacktrace": WORDS, "exception.type": WORDS},
    )
    return replace(
        span,
        name=f"{span.name} {WORDS}" if span.kind in {"server", "client"} else span.name,
        attributes={**told, **span.attributes, **failed},
        events=(*span.events, raised) if span.error else span.events,
        status_message=WORDS if span.error else span.status_message,
        resource={**span.resource, "process.command_line": WORDS},
    )


def report_of(spans: list[Span], folder: Path) -> str:
    limits = read(["min-requests=1"])
    written(judged(look_at(InMemory(spans), limits), FakeClock()), folder)
    return "".join(file.read_text("utf-8") for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("name", STORIES)
def test_no_words_are_in_the_report_of_a_sample(name: str, tmp_path: Path) -> None:
    assert "xyzzy" not in report_of([with_words(span) for span in sample(name)], tmp_path)


def test_no_words_are_in_the_report_of_a_run_whose_calls_failed(tmp_path: Path) -> None:
    found = report_of([with_words(span) for span in spans_of("retry", "no-retry")], tmp_path)
    assert "xyzzy" not in found
    assert "POST" in found


@pytest.mark.parametrize(
    ("told", "message", "kind"),
    [
        ("429", "", "429"),
        ("openai.RateLimitError", WORDS, "openai.RateLimitError"),
        (WORDS, WORDS, "error"),
        (None, "ThrottlingException: Too many requests", "ThrottlingException"),
        (None, "APIConnectionError(Connection refused)", "APIConnectionError"),
        (None, WORDS, "error"),
        (None, "", "error"),
    ],
)
def test_an_error_is_called_by_its_kind_alone(told: str | None, message: str, kind: str) -> None:
    span = replace(
        spans_of("clients", "sound")[0],
        error=True,
        status_message=message,
        attributes={} if told is None else {"error.type": told},
        events=(),
    )
    assert values.error(span) == kind


def test_a_name_of_few_words_is_kept_without_its_query() -> None:
    assert values.label("router agents egress", "x") == "router agents egress"
    assert values.label("GET /find?token=abc", "x") == "GET /find"
    assert values.label(WORDS, "client") == "client"
    assert values.label("", "client") == values.label("a" * 100, "client") == "client"


def test_names_of_any_length_are_not_kept() -> None:
    """A sender that makes them up would fill the memory of a watch."""
    tracemalloc.start()
    try:
        for number in range(20):
            assert values.label(f"{number} {'x' * 1_000_000}", "client") == "client"
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()
