import asyncio
import threading
from typing import Any

import pytest

from reference_agent.adapters.errors import MalformedAnswerError
from reference_agent.adapters.models import build_model, openai_model
from reference_agent.settings import Settings
from reference_agent.threads import DaemonThreads, threads_ended
from tests.reference_agent.rig import run
from tests.reference_agent.wire import (
    DONE,
    USAGE,
    Reply,
    Wire,
    answers,
    calls_tool,
    chunk,
    refuses,
    says,
    streamed,
    whole,
)

ASKED: Any = [{"role": "user", "content": [{"text": "hi"}]}]


def settings(**changed: Any) -> Settings:
    return Settings(**({"openai_base_url": "http://model/v1", "openai_api_key": "k"} | changed))


def events(reply: Reply, **changed: Any) -> list[Any]:
    async def work() -> list[Any]:
        client = openai_model(settings(**changed), transport=Wire([reply]))
        return [event async for event in client.model.stream(ASKED)]

    got: list[Any] = run(work())
    return got


@pytest.mark.parametrize("reply", [says("a", "b"), calls_tool("search"), says("a", finish="length")])
def test_a_whole_stream_ends_with_a_stop(reply: Reply) -> None:
    assert any("messageStop" in event for event in events(reply))


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [DONE],
        [chunk({"content": "a"})],
        [chunk({"content": "a"}), DONE],
        [chunk({"content": "a"}), USAGE, DONE],
    ],
    ids=["nothing", "only the end", "cut", "no reason", "no reason but usage"],
)
def test_a_stream_without_a_finish_reason_is_no_answer(pieces: list[bytes]) -> None:
    with pytest.raises(MalformedAnswerError):
        events(streamed(*pieces))


def test_an_answer_in_one_piece_needs_a_finish_reason_as_well() -> None:
    assert events(answers("a"), agent_model_stream=False)
    with pytest.raises(MalformedAnswerError):
        events(answers("a", finish=None), agent_model_stream=False)


def test_the_sdks_own_retries_are_off() -> None:
    wire = Wire([refuses(500)])

    async def work() -> None:
        client = openai_model(settings(), wire)
        async for _ in client.model.stream(ASKED):
            pass

    with pytest.raises(Exception, match="no"):
        run(work())
    assert len(wire.requests) == 1


def test_one_client_serves_all_calls_and_is_closed_once() -> None:
    wire = Wire([says("a")])

    async def work() -> None:
        client = openai_model(settings(), transport=wire)

        async def call() -> list[Any]:
            return [event async for event in client.model.stream(ASKED)]

        await asyncio.gather(*(call() for _ in range(5)))
        assert wire.closed == 0
        await client.aclose()

    run(work())
    assert (len(wire.requests), wire.closed) == (5, 1)


def test_bedrock_makes_one_attempt_with_room_for_all_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    built = run(
        build_model(
            settings(
                agent_model_provider="bedrock",
                agent_concurrency_limit=40,
                aws_endpoint_url_bedrock_runtime="http://127.0.0.1:9",
            )
        )
    )
    config = built.model.client.meta.config
    assert config.retries["total_max_attempts"] == 1
    assert config.max_pool_connections >= 40
    assert built.model.client.meta.endpoint_url == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("told", "stop"),
    [
        ("stop", "end_turn"),
        ("end_turn", "end_turn"),
        ("STOP", "end_turn"),
        ("stop_sequence", "end_turn"),
        ("eos", "end_turn"),
        ("max_tokens", "max_tokens"),
        ("MAX_TOKENS", "max_tokens"),
        ("refusal", "content_filtered"),
        ("SAFETY", "content_filtered"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_what_a_gateway_calls_the_end_is_one(told: str, stop: str, *, stream: bool) -> None:
    got = events(says("a", finish=told) if stream else answers("a", finish=told), agent_model_stream=stream)
    assert [event["messageStop"]["stopReason"] for event in got if "messageStop" in event] == [stop]


def test_a_gateway_that_calls_a_tool_in_its_own_words_is_understood() -> None:
    call = {"index": 0, "id": "t", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    got = events(streamed(chunk({"tool_calls": [call]}), chunk({}, "tool_use"), USAGE, DONE))
    assert [event["messageStop"]["stopReason"] for event in got if "messageStop" in event] == ["tool_use"]


@pytest.mark.parametrize(
    "url",
    ["model.example/v1", "ftp://model.example", "//model.example", "https://", "https://a:b:c", "http://\0"],
)
def test_an_address_that_nothing_can_be_sent_to_builds_no_client(url: str) -> None:
    with pytest.raises(ValueError, match="OPENAI_BASE_URL"):
        openai_model(settings(openai_base_url=url))


def test_a_request_that_is_sent_elsewhere_goes_there_with_its_body() -> None:
    wire = Wire([whole(307, b"", {"location": "http://model/v2/chat/completions"}), says("a")])

    async def work() -> None:
        client = openai_model(settings(), transport=wire)
        assert [event async for event in client.model.stream(ASKED)]

    run(work())
    assert [str(request.url) for request in wire.requests] == [
        "http://model/v1/chat/completions",
        "http://model/v2/chat/completions",
    ]
    assert wire.bodies[0] == wire.bodies[1]


def test_a_build_that_hangs_is_nothing_that_a_request_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, free = threading.Event(), threading.Event()

    def hang(_: Settings) -> None:
        begun.set()
        free.wait()

    monkeypatch.setattr("reference_agent.adapters.models.openai_model", hang)

    async def request() -> None:
        async with threads_ended():
            await build_model(settings())

    async def work() -> None:
        asyncio.get_running_loop().set_default_executor(DaemonThreads(4, "t"))
        asking = asyncio.create_task(request())
        while not begun.is_set():  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0)
        asking.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        over = asking.done()
        free.set()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert over

    run(work())
