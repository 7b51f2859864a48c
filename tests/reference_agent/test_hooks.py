"""Retry inside the real Strands loop, over the real client, with time and chance in hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from strands import Agent
from strands.hooks import AfterModelCallEvent, BeforeModelCallEvent

from harness.clock import FakeClock
from reference_agent.adapters.attempt_spans import note_chunk
from reference_agent.hooks import TransientErrorRetryHook, model_labels
from reference_agent.patterns.retry import RetryBudget, RetryPolicy
from reference_agent.telemetry.instruments import Instruments, views
from tests.reference_agent.rig import Tools, named, orphans, rig, run
from tests.reference_agent.wire import (
    DONE,
    USAGE,
    Reply,
    answers,
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

    def __init__(self, budget: RetryBudget | None = None) -> None:
        self.clock = FakeClock()
        self.budget = budget

    async def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def make_hook(self, _: Callable[[], float]) -> TransientErrorRetryHook:
        return TransientErrorRetryHook(
            RetryPolicy(max_attempts=3, base_s=2.0, deadline_s=60.0),
            labels=model_labels("openai", "m"),
            instruments=Instruments(),
            elapsed_s=self.clock.monotonic,
            sleep=self.sleep,
            uniform=lambda: 0.5,
            clock=self.clock.monotonic,
            budget=self.budget,
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
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.response.time_to_first_chunk": 6.0,
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
                "agentrig.retry.delay_ms": 4000,
                "agentrig.retry.delay_source": "retry_after",
                "error.type": "rate_limit_exceeded",
            },
        ),
        (
            "agentrig.retry",
            {
                "agentrig.retry.delay": 2.0,
                "agentrig.retry.delay_ms": 2000,
                "agentrig.retry.delay_source": "backoff",
                "error.type": "overloaded",
            },
        ),
    ]
    attempts = [span for span in spans.get_finished_spans() if span.name.startswith("POST /v1/")]
    assert [span.name.partition(" (")[2] for span in attempts] == ["", "attempt 2)", "attempt 3)"]
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


CALL = {"index": 0, "id": "t1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
SAYS_AND_CALLS = streamed(
    chunk({"role": "assistant", "content": "Let me look."}),
    chunk({"tool_calls": [CALL]}),
    chunk({}, "tool_calls"),
    USAGE,
    DONE,
)


def streamed_to_caller(folder: Path, *replies: Reply, **options: Any) -> tuple[list[dict[str, Any]], int]:
    """Return the events that the caller got, and how often the model was asked."""
    time = Time()

    async def work() -> Any:
        async with rig(folder, *replies, make_hook=time.make_hook, **options) as agent:
            answer = await agent.ask(accept="text/event-stream")
            lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
            return [json.loads(line) for line in lines], len(agent.wire.requests)

    events, attempts = run(work())
    return events, attempts


def test_words_before_a_tool_call_do_not_turn_the_next_calls_retries_off(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    events, attempts = streamed_to_caller(
        tmp_path, SAYS_AND_CALLS, THROTTLED, refuses(503), says("found"), tools=Tools
    )
    assert events[-1]["result"] == "found"
    assert attempts == 4
    calls = named(spans.get_finished_spans(), "chat ")
    assert [dict(call.attributes or {})["agentrig.retry.outcome"] for call in calls] == ["success"] * 2


def test_a_call_that_breaks_off_under_the_callers_eyes_is_not_retried_and_said_to_be_that(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    broken = streamed(chunk({"content": "Hel"}), httpx.ReadError("reset"))
    events, attempts = streamed_to_caller(tmp_path, broken, says("Hello"))
    assert attempts == 1
    assert events[-1]["error_type"] == "ReadError"
    assert "broke off" in events[-1]["message"]
    told = dict(the_call(spans).attributes or {})
    assert (told["agentrig.retry.outcome"], told["agentrig.retry.attempts"]) == ("answer_begun", 1)


def test_a_call_that_breaks_off_before_its_first_word_is_retried_also_in_a_stream(tmp_path: Path) -> None:
    broken = streamed(chunk({"role": "assistant"}), httpx.ReadError("reset"))
    events, attempts = streamed_to_caller(tmp_path, SAYS_AND_CALLS, broken, says("found"), tools=Tools)
    assert (events[-1]["result"], attempts) == ("found", 3)


def test_a_budget_that_is_spent_leaves_one_call(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    time = Time(RetryBudget(per_call=0.0, reserve=1.0))

    async def work() -> tuple[httpx.Response, int]:
        async with rig(tmp_path, refuses(503), make_hook=time.make_hook) as agent:
            return await agent.ask(), len(agent.wire.requests)

    answer, attempts = run(work())
    assert (answer.status_code, attempts) == (503, 2)
    assert "retried too much" in answer.json()["message"]
    assert dict(the_call(spans).attributes or {})["agentrig.retry.outcome"] == "budget"


def test_the_requests_of_a_container_share_its_budget(tmp_path: Path) -> None:
    async def work() -> int:
        async with rig(tmp_path, refuses(503), agent_retry_budget=0.5) as agent:
            for number in range(40):
                await agent.ask(session=f"s{number}")
            return len(agent.wire.requests)

    # 40 calls, the 10 retries in reserve, and half a retry for each call after the first.
    assert run(work()) == 40 + 10 + 19


def test_whoever_asks_for_a_whole_answer_is_told_of_no_first_part(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    asked(tmp_path, answers("ok"), agent_model_stream=False)
    assert "gen_ai.response.time_to_first_chunk" not in dict(the_call(spans).attributes or {})


def test_tokens_and_times_say_of_which_model_they_are() -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], views=views()).get_meter("t")
    clock = FakeClock()
    labels = model_labels("bedrock", "m")
    hook = TransientErrorRetryHook(
        RetryPolicy(),
        labels=labels,
        instruments=Instruments(meter),
        elapsed_s=lambda: 0.0,
        clock=clock.monotonic,
    )
    message = {
        "role": "assistant",
        "content": [],
        "metadata": {"usage": {"inputTokens": 5, "outputTokens": 2}},
    }
    stop: Any = AfterModelCallEvent.ModelStopResponse(message=message, stop_reason="end_turn")  # type: ignore[arg-type]

    async def work() -> None:
        await hook.before(BeforeModelCallEvent(agent=Agent()))
        clock.advance(0.25)
        note_chunk()
        clock.advance(0.25)
        note_chunk()
        await hook.after(AfterModelCallEvent(agent=Agent(), stop_response=stop))

    run(work())
    got = {name: points for name, points in points_of(reader).items() if name.startswith("gen_ai.")}
    assert got == {
        "gen_ai.client.operation.duration": [(labels, 0.5)],
        "gen_ai.client.operation.time_to_first_chunk": [(labels, 0.25)],
        "gen_ai.client.token.usage": [
            ({**labels, "gen_ai.token.type": "input"}, 5),
            ({**labels, "gen_ai.token.type": "output"}, 2),
        ],
    }
    assert labels == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": "m",
    }


def points_of(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, Any], float]]]:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: [
            (dict(point.attributes or {}), getattr(point, "sum", 0)) for point in metric.data.data_points
        ]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
