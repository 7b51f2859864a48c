import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from reference_agent.adapters.errors import MalformedAnswerError
from reference_agent.adapters.lean_openai import Answer, LeanClient
from tests.reference_agent.rig import Tools, rig, run
from tests.reference_agent.wire import (
    DONE,
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

BODY: Any = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "hi ä"}]},
        {"role": "assistant", "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f"}}]},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
}


def clients(reply: Reply) -> tuple[Wire, AsyncOpenAI, LeanClient]:
    wire = Wire([reply])
    sdk = AsyncOpenAI(
        base_url="http://m/v1", api_key="k", max_retries=0, http_client=httpx.AsyncClient(transport=wire)
    )
    return wire, sdk, LeanClient(sdk)


@pytest.mark.parametrize("stream", [True, False])
def test_it_sends_what_the_sdk_sends(*, stream: bool) -> None:
    wire, sdk, lean = clients(says("a") if stream else answers("a"))

    async def work() -> None:
        await sdk.chat.completions.create(**BODY, stream=stream)
        await lean.chat.completions.create(**BODY, stream=stream)

    run(work())
    theirs, ours = wire.requests
    assert json.loads(ours.content) == json.loads(theirs.content)
    assert (ours.method, ours.url, ours.headers) == (theirs.method, theirs.url, theirs.headers)


def view(chunk: Any) -> dict[str, Any]:
    """Return what Strands reads of a chunk."""
    seen: dict[str, Any] = {"usage": chunk.usage and (chunk.usage.prompt_tokens, chunk.usage.total_tokens)}
    for choice in chunk.choices:
        seen |= {"text": choice.delta.content, "finish": choice.finish_reason}
        for call in choice.delta.tool_calls or []:
            seen["call"] = (call.index, call.id, call.function.name, call.function.arguments)
    return seen


@pytest.mark.parametrize("reply", [says("Hel", "lo"), calls_tool("search", '{"query": "x"}')])
def test_its_chunks_read_like_the_sdks(reply: Reply) -> None:
    _, sdk, lean = clients(reply)

    async def work() -> Any:
        theirs = [view(chunk) async for chunk in await sdk.chat.completions.create(**BODY, stream=True)]
        given: Any = await lean.chat.completions.create(**BODY, stream=True)
        return theirs, [view(chunk) async for chunk in given]

    theirs, ours = run(work())
    assert len(ours) > 2
    assert ours == theirs


def test_an_answer_in_one_piece_reads_like_the_sdks() -> None:
    _, _, lean = clients(answers("Hello"))

    async def work() -> Any:
        return await lean.chat.completions.create(**BODY, stream=False)

    answer = run(work())
    assert answer.choices[0].message.content == "Hello"
    assert answer.choices[0].message.tool_calls is None
    assert answer.usage.prompt_tokens_details is None


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refuses(401, "invalid_api_key"), openai.AuthenticationError),
        (refuses(429, "insufficient_quota"), openai.RateLimitError),
        (refuses(503), openai.InternalServerError),
    ],
)
def test_its_errors_are_the_sdks(reply: Reply, error: type[Exception], *, stream: bool) -> None:
    _, _, lean = clients(reply)
    with pytest.raises(error):
        run(lean.create(**BODY, stream=stream))


def test_an_error_within_a_stream_is_the_sdks() -> None:
    _, _, lean = clients(streamed(b'data: {"error": {"type": "server_error", "message": "x"}}\n\n'))

    async def work() -> None:
        given: Any = await lean.create(**BODY, stream=True)
        async for _ in given:
            pass

    with pytest.raises(openai.APIError):
        run(work())


@pytest.mark.parametrize("body", [b"[1]", b'"text"', b"3", b"null"])
def test_json_that_is_no_object_is_no_answer(body: bytes) -> None:
    async def in_one_piece() -> None:
        await clients(whole(200, body, {"content-type": "application/json"}))[2].create(**BODY, stream=False)

    async def as_a_chunk() -> None:
        given: Any = await clients(streamed(b"data: " + body + b"\n\n"))[2].create(**BODY, stream=True)
        await anext(given)

    for way in (in_one_piece, as_a_chunk):
        with pytest.raises(MalformedAnswerError):
            run(way())


@pytest.mark.parametrize(
    "choices",
    [
        "text",
        5,
        ["text"],
        [{"message": None}],
        [{"delta": "text"}],
        [{"delta": {"content": {"text": "a"}}}],
        [{"message": {"content": [{"text": "a"}]}}],
        [{"delta": {"reasoning_content": 5}}],
        [{"delta": {"tool_calls": "search"}}],
        [{"delta": {"tool_calls": [None]}}],
        [{"delta": {"tool_calls": [{"id": 5}]}}],
        [{"delta": {"tool_calls": [{"id": "a", "function": "search"}]}}],
        [{"delta": {"tool_calls": [{"id": "a", "function": {"name": 5}}]}}],
        [{"message": {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": [1]}}]}}],
    ],
)
def test_choices_of_another_form_are_no_answer(choices: object) -> None:
    async def work() -> None:
        data = json.dumps({"choices": choices}).encode()
        given: Any = await clients(streamed(b"data: " + data + b"\n\n"))[2].create(**BODY, stream=True)
        await anext(given)

    with pytest.raises(MalformedAnswerError):
        run(work())


@pytest.mark.parametrize("choice", [{"index": 0}, {"delta": None, "finish_reason": None}])
def test_a_chunk_that_adds_nothing_is_none_the_worse(choice: object) -> None:
    async def work() -> Any:
        data = json.dumps({"choices": [choice]}).encode()
        given: Any = await clients(streamed(b"data: " + data + b"\n\n"))[2].create(**BODY, stream=True)
        return await anext(given)

    assert run(work()).choices[0].delta.content is None


@pytest.mark.parametrize(
    ("told", "total"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 2}, 5),
        ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": "many"}, 5),
        ({}, None),
        ({"prompt_tokens": "3", "completion_tokens": 2}, None),
        ({"prompt_tokens": 10**30, "completion_tokens": 2}, None),
        ({"prompt_tokens": -1, "completion_tokens": 2}, None),
        ([3, 2], None),
    ],
)
def test_tokens_that_cannot_be_counted_cost_no_answer(told: object, total: int | None) -> None:
    async def work() -> Any:
        data = json.dumps({"choices": [], "usage": told}).encode()
        given: Any = await clients(streamed(b"data: " + data + b"\n\n"))[2].create(**BODY, stream=True)
        return (await anext(given)).usage

    usage = run(work())
    assert (usage and usage.total_tokens) == total


def test_members_are_attributes_and_what_is_not_there_is_none() -> None:
    answer = Answer({"a": {"b": [{"c": 1}, 2]}, "items": 3})
    assert answer.a.b[0].c == 1
    assert answer.a.b[1] == 2
    assert answer.items == 3
    assert answer.missing is None


def call(arguments: object, name: str | None = "search", **more: object) -> dict[str, object]:
    return {**more, "type": "function", "function": {"name": name, "arguments": arguments}}


X, Y = '{"query": "x"}', '{"query": "y"}'
CALLS: list[list[list[dict[str, object]]]] = [
    [[call(X, index=0, id="a")], [call(Y, index=1, id="b")]],  # as the API itself has it
    [[call('{"query": ', index=0, id="a")], [call('"x"}', None, index=0)], [call(Y, index=1, id="b")]],
    [[call(X, id="a"), call(Y, id="b")]],  # no numbers
    [[call(X, id="a")], [call(Y, id="b")]],
    [[call('{"query": ', id="a")], [call('"x"}', None)], [call(Y, id="b")]],
    [[call(X, index=0, id="a")], [call(Y, index=0, id="b")]],  # all the same number
    [[call(X, index=0, id="")], [call(Y, index=1, id="")]],  # no ids
    [[call(X), call(Y)]],  # neither
    [[call({"query": "x"}, index=0, id="a"), call({"query": "y"}, index=1, id="b")]],  # no text
    [
        [call('{"query": ', index=0, id="a")],
        [call('"x"}', None, index=0, id="z")],
        [call(Y, index=1, id="b")],
    ],
    [[call('{"query": ', index=0, id="a")], [call('"x"}', index=0, id="a")], [call(Y, index=1, id="b")]],
]


@pytest.mark.parametrize("pieces", CALLS)
def test_two_tools_are_called_each_with_its_own_however_a_gateway_tells_them_apart(
    pieces: list[list[dict[str, object]]], tmp_path: Path
) -> None:
    async def work() -> None:
        both = streamed(*(chunk({"tool_calls": piece}) for piece in pieces), chunk({}, "tool_calls"), DONE)
        async with rig(tmp_path, both, says("found"), tools=Tools) as agent:
            assert (await agent.ask()).json()["result"] == "found"
            *_, asked, first, second = agent.wire.bodies[-1]["messages"]
        assert [json.loads(each["function"]["arguments"])["query"] for each in asked["tool_calls"]] == [
            "x",
            "y",
        ]
        assert [first["content"], second["content"]] == ["nothing about x", "nothing about y"]
        ids = [each["id"] for each in asked["tool_calls"]]
        assert ids == [first["tool_call_id"], second["tool_call_id"]]
        assert len(set(ids)) == 2

    run(work())


def test_a_tool_call_in_one_piece_needs_neither_number_nor_id(tmp_path: Path) -> None:
    async def work() -> None:
        message = {"role": "assistant", "content": None, "tool_calls": [call({"query": "x"})]}
        body = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
        first = whole(200, json.dumps(body).encode(), {"content-type": "application/json"})
        async with rig(tmp_path, first, answers("found"), tools=Tools, agent_model_stream=False) as agent:
            assert (await agent.ask()).json()["result"] == "found"
            assert agent.wire.bodies[-1]["messages"][-1]["content"] == "nothing about x"

    run(work())
