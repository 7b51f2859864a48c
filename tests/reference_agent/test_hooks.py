"""Retry inside the real Strands loop, over the real client, with time and chance in hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from harness.clock import FakeClock
from reference_agent.hooks import TransientErrorRetryHook
from reference_agent.patterns.retry import RetryPolicy
from reference_agent.telemetry.instruments import Instruments
from tests.reference_agent.rig import Tools, named, orphans, rig, run
from tests.reference_agent.wire import (
    DONE,
    Reply,
    breaks,
    calls_tool,
    chunk,
    refuses,
    says,
    streamed,
)

THROTTLED = refuses(429, "rate_limit_exceeded", retry_after="3")


class Time:
    """A clock that moves when the hook sleeps, and a chance that is always a half."""

    def __init__(self) -> None:
        self.clock = FakeClock()

    async def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def make_hook(self, _: Callable[[], float]) -> TransientErrorRetryHook:
        return TransientErrorRetryHook(
            RetryPolicy(max_attempts=3, base_s=2.0, deadline_s=60.0),
            model_id="m",
            instruments=Instruments(),
            elapsed_s=self.clock.monotonic,
            sleep=self.sleep,
            uniform=lambda: 0.5,
            clock=self.clock.monotonic,
        )


def asked(folder: Path, *replies: Reply, **options: Any) -> tuple[httpx.Response, int, list[float]]:
    """Return the answer, how often the model was asked, and the pauses between."""
    time = Time()

    async def work() -> Any:
        async with rig(folder, *replies, make_hook=time.make_hook, **options) as agent:
            return await agent.ask(), len(agent.wire.requests)

    answer, attempts = run(work())
    return answer, attempts, time.clock.slept


def the_call(spans: InMemorySpanExporter) -> ReadableSpan:
    (chat,) = named(spans.get_finished_spans(), "chat ")
    return chat


def test_a_throttled_call_waits_as_told_and_a_random_part_more(tmp_path: Path) -> None:
    answer, attempts, slept = asked(tmp_path, THROTTLED, THROTTLED, says("ok"))
    assert (answer.status_code, attempts) == (200, 3)
    assert slept == [3.0 + 0.5 * 2, 3.0 + 0.5 * 4]


def test_without_a_word_of_when_the_wait_is_random_alone(tmp_path: Path) -> None:
    assert asked(tmp_path, refuses(503), refuses(503), says("ok"))[1:] == (3, [1.0, 2.0])


def test_milliseconds_win_over_seconds(tmp_path: Path) -> None:
    finer = refuses(429, "rate_limit_exceeded", retry_after_ms="250", retry_after="1")
    assert asked(tmp_path, finer, says("ok"))[2] == [0.25 + 1.0]


@pytest.mark.parametrize("code", ["insufficient_quota", "credit_balance_exhausted"])
def test_a_quota_that_is_used_up_costs_one_call(tmp_path: Path, code: str) -> None:
    answer, attempts, slept = asked(tmp_path, refuses(429, code, retry_after="3"))
    assert (answer.status_code, answer.json()["error_type"], attempts, slept) == (502, code, 1, [])


def test_after_three_attempts_the_caller_is_told_when_to_come_back(tmp_path: Path) -> None:
    answer, attempts, _ = asked(tmp_path, THROTTLED)
    assert (answer.status_code, attempts) == (503, 3)
    assert answer.headers["retry-after"] == "3"


def test_a_wait_that_passes_the_deadline_is_not_begun(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    answer, attempts, slept = asked(tmp_path, refuses(429, "rate_limit_exceeded", retry_after="90"))
    assert (answer.status_code, answer.json()["error_type"]) == (504, "deadline")
    assert answer.headers["retry-after"] == "90"
    assert (attempts, slept) == (1, [])
    assert the_call(spans).attributes is not None
    assert dict(the_call(spans).attributes or {})["agentrig.retry.outcome"] == "deadline"


@pytest.mark.parametrize(
    "broken",
    [
        streamed(chunk({"content": "Hel"}), httpx.ReadError("reset")),
        streamed(chunk({"content": "Hel"})),
        streamed(chunk({"content": "Hel"}), DONE),
        streamed(b'data: {"error": {"type": "server_error", "message": "x"}}\n\n'),
        streamed(b"data: {broken\n\n"),
        breaks(httpx.ConnectError("refused")),
        breaks(httpx.ReadTimeout("silent")),
    ],
    ids=["reset", "cut", "no reason", "error frame", "no JSON", "refused", "silent"],
)
def test_what_broke_under_way_is_tried_again_and_leaves_nothing_of_the_first_try(
    tmp_path: Path, broken: Reply
) -> None:
    answer, attempts, slept = asked(tmp_path, broken, says("Hello"))
    assert (answer.json()["result"], attempts, slept) == ("Hello", 2, [1.0])


def test_a_filtered_answer_is_an_error_and_costs_one_call(tmp_path: Path) -> None:
    answer, attempts, slept = asked(tmp_path, says("", finish="content_filter"))
    assert (answer.status_code, answer.json()["error_type"]) == (422, "content_filter")
    assert (attempts, slept) == (1, [])


def test_each_call_of_a_turn_has_attempts_of_its_own(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    replies = (THROTTLED, calls_tool("search"), THROTTLED, THROTTLED, says("found"))
    answer, attempts, _ = asked(tmp_path, *replies, tools=Tools)
    assert (answer.json()["result"], attempts) == ("found", 5)
    calls = named(spans.get_finished_spans(), "chat ")
    assert [dict(call.attributes or {})["agentrig.retry.attempts"] for call in calls] == [2, 3]


def test_a_second_call_that_fails_is_told_as_what_it_is(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    answer, attempts, _ = asked(
        tmp_path, calls_tool("search"), refuses(400, "context_length_exceeded"), tools=Tools
    )
    assert (answer.status_code, answer.json()["error_type"]) == (413, "context_length_exceeded")
    assert attempts == 2
    assert not orphans(spans.get_finished_spans())


def test_the_span_of_a_call_tells_its_attempts_pauses_and_end(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    asked(tmp_path, THROTTLED, refuses(503, "overloaded"), says("ok"))
    call = the_call(spans)
    assert call.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "agentrig.retry.attempts": 3,
        "agentrig.retry.outcome": "success",
    }
    assert [(event.name, dict(event.attributes or {})) for event in call.events] == [
        (
            "agentrig.retry",
            {
                "agentrig.retry.delay": 4.0,
                "agentrig.retry.delay_source": "retry_after",
                "error.type": "rate_limit_exceeded",
            },
        ),
        (
            "agentrig.retry",
            {
                "agentrig.retry.delay": 2.0,
                "agentrig.retry.delay_source": "backoff",
                "error.type": "overloaded",
            },
        ),
    ]
    attempts = [span for span in spans.get_finished_spans() if span.name == "POST"]
    assert [span.parent.span_id for span in attempts if span.parent] == [call.context.span_id] * 3


@pytest.mark.parametrize(
    ("reply", "outcome", "attempts"),
    [
        (refuses(503), "exhausted", 3),
        (refuses(401, "invalid_api_key"), "permanent", 1),
        (says("", finish="content_filter"), "permanent", 1),
    ],
)
def test_the_span_of_a_failed_call_says_how_it_failed(
    tmp_path: Path, spans: InMemorySpanExporter, reply: Reply, outcome: str, attempts: int
) -> None:
    asked(tmp_path, reply)
    told = dict(the_call(spans).attributes or {})
    assert (told["agentrig.retry.outcome"], told["agentrig.retry.attempts"]) == (outcome, attempts)
    assert "error.type" in told
    assert not orphans(spans.get_finished_spans())
