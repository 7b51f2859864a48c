import json
import re
from typing import Any

import httpx
import pytest

from harness.simulator.calls import answer_to
from harness.simulator.quota import BucketLevel, QuotaVerdict
from harness.simulator.wire.anthropic import Anthropic
from harness.simulator.wire.anthropic_messages import message_events, whole_message
from harness.simulator.wire.protocol import BadRequestError, WireProblem
from harness.simulator_config import RetryAfterForm, SimulatorConfig
from tests.harness.simulator.asgi import Api
from tests.harness.simulator.wires import PATHS, answered, body, call

WIRE = Anthropic()
SEARCH = {"name": "search", "input_schema": {"type": "object"}}
CALLS_TOOL = SimulatorConfig(tool_turns=1)
LONG = "It rains in Oslo, as it did before."


def events(chunks: list[bytes]) -> list[dict[str, Any]]:
    told = []
    for event in b"".join(chunks).decode().strip().split("\n\n"):
        name, data = event.split("\n")
        parsed = json.loads(data.removeprefix("data: "))
        assert name == f"event: {parsed['type']}"
        told.append(parsed)
    return told


def test_a_stream_has_the_events_in_their_order() -> None:
    answer = answered(call(protocol="anthropic", stream=True))
    told = events(WIRE.chunks(answer))
    assert [event["type"] for event in told] == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 8,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert "".join(event["delta"]["text"] for event in told[3:11]) == answer.text
    assert told[-2]["delta"]["stop_reason"] == "end_turn"
    assert told[-2]["usage"] == {"output_tokens": 8}


def test_a_whole_answer_is_a_message() -> None:
    answer = answered(call(protocol="anthropic"))
    told = json.loads(WIRE.whole(answer))
    assert told["content"] == [{"type": "text", "text": answer.text}]
    assert (told["role"], told["stop_reason"]) == ("assistant", "end_turn")
    assert told["usage"] == {"input_tokens": 1, "output_tokens": 8}


def test_the_tool_is_called_and_its_result_is_a_block_of_the_user() -> None:
    first = json.loads(WIRE.whole(answered(call(protocol="anthropic", tools=[SEARCH]), CALLS_TOOL)))
    assert first["stop_reason"] == "tool_use"
    (block,) = first["content"]
    result = {"type": "tool_result", "tool_use_id": block["id"], "content": "a fact"}
    messages = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [result]},
    ]
    second = call(protocol="anthropic", tools=[SEARCH], messages=messages)
    assert (second.request.question, second.request.tool_results) == ("hello", 1)
    assert json.loads(WIRE.whole(answered(second, CALLS_TOOL)))["stop_reason"] == "end_turn"


def test_a_streamed_tool_call_hands_its_input_over_as_json_in_pieces() -> None:
    told = events(WIRE.chunks(answered(call(protocol="anthropic", stream=True, tools=[SEARCH]), CALLS_TOOL)))
    deltas = [event["delta"] for event in told if event["type"] == "content_block_delta"]
    assert {delta["type"] for delta in deltas} == {"input_json_delta"}
    assert set(json.loads("".join(delta["partial_json"] for delta in deltas))) == {"query"}
    assert told[1]["content_block"]["name"] == "search"


def test_the_system_prompt_is_part_of_the_call_and_of_its_tokens() -> None:
    plain, told = call(protocol="anthropic"), call(protocol="anthropic", system="x" * 400)
    assert plain.request.call_id != told.request.call_id
    assert answered(told).input_tokens > 100


def test_an_error_names_the_request() -> None:
    _, body = WIRE.error(WireProblem(status=529, type="overloaded_error", message="Overloaded"), "abc")
    assert json.loads(body) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_abc",
    }


def test_the_quota_is_told_with_the_time_at_which_it_is_full() -> None:
    verdict = QuotaVerdict(
        admitted=True,
        kind="rate_limit_requests",
        retry_after_s=None,
        form=RetryAfterForm.EXACT,
        requests=BucketLevel(60, 41.7, 0.2),
        tokens=BucketLevel(9000, 100, 90),
    )
    told = dict(WIRE.quota_headers(verdict, 1_700_000_000))
    assert told[b"anthropic-ratelimit-requests-remaining"] == b"41"
    assert told[b"anthropic-ratelimit-requests-reset"] == b"2023-11-14T22:13:21Z"
    assert told[b"anthropic-ratelimit-tokens-reset"] == b"2023-11-14T22:14:50Z"
    assert len(told) == 6


def test_the_key_is_the_api_key_or_the_bearer_token() -> None:
    assert WIRE.key({b"x-api-key": b"k1", b"authorization": b"Bearer t"}) == "k1"
    assert WIRE.key({b"authorization": b"Bearer t"}) == "t"


@pytest.mark.parametrize("stream", [False, True])
def test_a_thread_is_gone_on_with_by_the_id_of_its_last_answer(stream: bool) -> None:  # noqa: FBT001
    api = Api(SimulatorConfig(tool_turns=1))
    tools = [{"name": "weather", "input_schema": {"type": "object", "properties": {}}}]

    def asked(**more: Any) -> httpx.Response:
        return api.ask("POST", PATHS["anthropic"], content=body("anthropic", stream=stream, **more))

    def message_id(told: httpx.Response) -> str:
        return re.findall(r'"id":"(msg_\w+)"', told.text)[0]

    first = asked(system="Be kind.", tools=tools, thread={"type": "create"})
    (called,) = re.findall(r'"id":"(toolu_\w+)"', first.text)
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": called, "content": LONG}]}
    going_on = {"type": "continue", "previous_message_id": message_id(first)}
    second = asked(messages=[result], thread=going_on)
    assert (second.status_code, "end_turn" in second.text) == (200, True)
    again = {"type": "continue", "previous_message_id": message_id(second)}
    third = asked(messages=[{"role": "user", "content": "and now?"}], thread=again)
    assert '"name":"weather"' in third.text, "its tools are those that it was begun with"
    tokens = [row["input_tokens"] for row in api.rows()]
    assert tokens == sorted(set(tokens)), "each turn reads all before it"


@pytest.mark.parametrize(
    ("thread", "more", "status", "what"),
    [
        ({"type": "continue", "previous_message_id": "msg_none"}, {}, 404, "thread_not_found"),
        ({"type": "continue"}, {}, 400, "thread: Input should be"),
        ({"type": "other"}, {}, 400, "thread: Input should be"),
        (None, {"system": "x"}, 400, "system: is the thread's"),
        (None, {"messages": 5}, 400, "valid list"),
    ],
)
def test_a_thread_that_there_is_none_of_is_told_so_that_clients_begin_anew(
    thread: Any, more: dict[str, Any], status: int, what: str
) -> None:
    api = Api()
    begun = api.ask("POST", PATHS["anthropic"], content=body("anthropic", thread={"type": "create"})).json()
    thread = thread or {"type": "continue", "previous_message_id": begun["id"]}
    told = api.ask("POST", PATHS["anthropic"], content=body("anthropic", **{"thread": thread, **more}))
    assert (told.status_code, what in told.text) == (status, True)


@pytest.mark.parametrize("protocol", ["anthropic", "bedrock-invoke"])
def test_a_prompt_that_is_only_read_is_answered_with_nothing(protocol: str) -> None:
    request = call(protocol=protocol, stream=True, max_tokens=0).request
    told = json.loads(whole_message(answered(call(protocol=protocol, max_tokens=0))))
    assert (told["content"], told["stop_reason"]) == ([], "max_tokens")
    assert (told["usage"]["input_tokens"], told["usage"]["output_tokens"]) == (1, 0)
    opened, pieces, closed = message_events(answer_to(request, SimulatorConfig()))
    assert [each["type"] for each in (*opened, *closed)] == [
        *("message_start", "ping"),
        *("message_delta", "message_stop"),
    ]
    assert not pieces


def test_a_systems_message_may_come_after_a_users() -> None:
    user, system = {"role": "user", "content": "hello"}, {"role": "system", "content": "Be brief."}
    asked = call(protocol="anthropic", messages=[user, system])
    assert asked.request.question == "hello"
    assert asked.request.texts == ["hello", "Be brief."]
    assert asked.request.user_texts == ["hello"]
    said = {"role": "assistant", "content": "yes"}
    for wrong in ([system, user], [user, said, system, user]):
        with pytest.raises(BadRequestError, match="top-level `system` parameter"):
            call(protocol="anthropic", messages=wrong)


def test_a_set_of_tools_that_has_no_name_is_taken() -> None:
    sets: list[Any] = [{"type": "mcp_toolset", "mcp_server_name": name} for name in "xy"]
    sets.append({"type": "browser_toolset_20260801"})
    tools = [*sets, {"name": "search", "input_schema": {"type": "object"}}]
    assert [tool.name for tool in call(protocol="anthropic", tools=tools).request.tools] == ["search"]
    assert call(protocol="anthropic", tools=sets, tool_choice={"type": "any"}).request.tools == []
