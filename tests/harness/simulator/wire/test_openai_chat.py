import json
from typing import Any

import pytest

from harness.simulator.quota import BucketLevel, QuotaVerdict
from harness.simulator.wire.openai_chat import OpenAIChat
from harness.simulator.wire.openai_http import reset_in
from harness.simulator.wire.protocol import WireProblem
from harness.simulator_config import RetryAfterForm, SimulatorConfig
from tests.harness.simulator.wires import answered, body, call, path

WIRE = OpenAIChat()
SEARCH = {"type": "function", "function": {"name": "search", "parameters": {}}}


def events(chunks: list[bytes]) -> list[Any]:
    lines = b"".join(chunks).decode().split("\n\n")
    return [line.removeprefix("data: ") for line in lines if line]


def test_a_stream_is_a_token_an_event_then_the_end_the_usage_and_done() -> None:
    asked = call(stream=True, stream_options={"include_usage": True})
    answer = answered(asked)
    *told, done = events(WIRE.chunks(answer))
    chunks = [json.loads(event) for event in told]

    assert done == "[DONE]"
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert deltas[0]["role"] == "assistant"
    assert [delta.get("content") for delta in deltas] == [*answer.pieces, None]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * 8 + ["stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 1, "completion_tokens": 8, "total_tokens": 9}
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_a_stream_tells_no_usage_that_nobody_asked_for() -> None:
    assert not any("usage" in event for event in events(WIRE.chunks(answered(call(stream=True)))))


def test_a_stream_has_a_chunk_for_each_token_and_one_for_the_end() -> None:
    assert len(WIRE.chunks(answered(call(stream=True)))) == 9


def test_an_answer_is_the_same_whole_and_streamed() -> None:
    asked = call()
    whole = json.loads(WIRE.whole(answered(asked)))
    streamed = [json.loads(event) for event in events(WIRE.chunks(answered(asked)))[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in streamed)
    assert whole["choices"][0]["message"]["content"] == text
    assert whole["choices"][0]["finish_reason"] == "stop"


def test_an_answer_repeats_no_word_of_the_prompt() -> None:
    said = answered(call("xylophone zeppelin quokka")).text.lower()
    assert not {"xylophone", "zeppelin", "quokka"} & set(said.split())


def test_the_tool_is_called_as_often_as_it_is_told_and_then_answered() -> None:
    told = SimulatorConfig(tool_turns=1)
    first = call(tools=[SEARCH])
    asked = json.loads(WIRE.whole(answered(first, told)))["choices"][0]
    assert asked["finish_reason"] == "tool_calls"
    (tool,) = asked["message"]["tool_calls"]
    assert tool["function"]["name"] == "search"
    assert set(json.loads(tool["function"]["arguments"])) == {"query"}

    messages = [
        {"role": "user", "content": "hello"},
        asked["message"],
        {"role": "tool", "tool_call_id": tool["id"], "content": "a fact"},
    ]
    second = call(tools=[SEARCH], messages=messages)
    assert json.loads(WIRE.whole(answered(second, told)))["choices"][0]["finish_reason"] == "stop"
    again = call(tools=[SEARCH], messages=[*messages, {"role": "user", "content": "and now?"}])
    assert json.loads(WIRE.whole(answered(again, told)))["choices"][0]["finish_reason"] == "tool_calls"


def test_a_tool_that_is_not_offered_is_not_called() -> None:
    assert json.loads(WIRE.whole(answered(call(), SimulatorConfig(tool_turns=1))))["choices"][0][
        "finish_reason"
    ] == ("stop")


def test_a_streamed_tool_call_hands_its_arguments_over_in_pieces() -> None:
    asked = call(stream=True, tools=[SEARCH])
    *told, end, done = events(WIRE.chunks(answered(asked, SimulatorConfig(tool_turns=1))))
    first, *others = [json.loads(event)["choices"][0]["delta"]["tool_calls"][0] for event in told]
    assert (first["index"], first["function"]["name"]) == (0, "search")
    assert {tuple(other) for other in others} == {("index", "function")}
    assert set(json.loads("".join(each["function"]["arguments"] for each in (first, *others)))) == {"query"}
    assert json.loads(end)["choices"][0]["finish_reason"] == "tool_calls"
    assert done == "[DONE]"


def test_an_answer_is_no_longer_than_the_caller_allows() -> None:
    choice = json.loads(WIRE.whole(answered(call(max_tokens=3))))
    assert choice["choices"][0]["finish_reason"] == "length"
    assert choice["usage"]["completion_tokens"] == 3


def test_text_may_come_in_parts() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {"url": "x"}}]
    asked = WIRE.parse(path("openai"), body("openai", messages=[{"role": "user", "content": parts}]))
    assert (asked.texts, asked.question) == (["one"], "one")


def test_an_error_says_what_the_real_one_says() -> None:
    headers, told = WIRE.error(WireProblem(status=429, type="requests", message="No.", code="slow_down"), "r")
    assert json.loads(told) == {
        "error": {"message": "No.", "type": "requests", "param": None, "code": "slow_down"}
    }
    assert headers == [(b"content-type", b"application/json")]


@pytest.mark.parametrize(
    ("seconds", "form", "told"),
    [
        (None, "exact", {}),
        (0.75, "exact", {b"retry-after": b"1", b"retry-after-ms": b"750"}),
        (2.0004, "exact", {b"retry-after": b"3", b"retry-after-ms": b"2001"}),
        (2.0, "whole", {b"retry-after": b"2"}),
        (-3.0, "whole", {b"retry-after": b"-3"}),
        (1.5, "http_date", {b"retry-after": b"Tue, 14 Nov 2023 22:13:22 GMT"}),
    ],
)
def test_when_to_come_back_is_never_told_too_short(
    seconds: float | None, form: str, told: dict[bytes, bytes]
) -> None:
    assert dict(WIRE.retry_headers(seconds, RetryAfterForm(form), 1_700_000_000.0)) == told


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.012, "12ms"),
        (0.0001, "1ms"),
        (1.5, "1.5s"),
        (59.0, "59s"),
        (60, "1m0s"),
        (360, "6m0s"),
    ],
)
def test_a_reset_is_written_as_openai_writes_it(seconds: float, text: str) -> None:
    assert reset_in(seconds) == text


def test_the_quota_is_told_in_headers() -> None:
    verdict = QuotaVerdict(
        admitted=True,
        kind="rate_limit_requests",
        retry_after_s=None,
        form=RetryAfterForm.EXACT,
        requests=BucketLevel(60, 41.7, 0.12),
        tokens=BucketLevel(9000, 100, 90),
    )
    assert dict(WIRE.quota_headers(verdict, 0)) == {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"41",
        b"x-ratelimit-reset-requests": b"120ms",
        b"x-ratelimit-limit-tokens": b"9000",
        b"x-ratelimit-remaining-tokens": b"100",
        b"x-ratelimit-reset-tokens": b"1m30s",
    }


def test_the_key_is_the_bearer_token() -> None:
    assert WIRE.key({b"authorization": b"Bearer sk-1"}) == "sk-1"
    assert WIRE.key({b"authorization": b"Basic sk-1"}) == ""
    assert WIRE.key({}) == ""
