import json
from typing import Any

import pytest

from harness.simulator.calls import answer_to
from harness.simulator.wire.openai_responses import OpenAIResponses, _check_results
from harness.simulator.wire.protocol import BadRequestError, ModelAnswer, WireProblem
from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.asgi import Api
from tests.harness.simulator.wires import answered, body, call

SEARCH = {"type": "function", "name": "search", "parameters": {"type": "object"}}
CALLS_TOOL = SimulatorConfig(tool_turns=1)
PATH = "/v1/responses"


def asked(config: SimulatorConfig | None = None, **more: Any) -> ModelAnswer:
    return answered(call(protocol="openai-responses", **more), config)


def events(chunks: list[bytes]) -> list[dict[str, Any]]:
    told = []
    for event in b"".join(chunks).decode().strip().split("\n\n"):
        name, data = event.split("\n")
        parsed = json.loads(data.removeprefix("data: "))
        assert name == f"event: {parsed['type']}"
        told.append(parsed)
    return told


def test_a_stream_has_the_events_in_their_order_and_numbered() -> None:
    answer = asked(stream=True)
    told = events(OpenAIResponses().chunks(answer))
    assert [event["type"] for event in told] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 8,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in told] == [*range(16)]
    assert "".join(event["delta"] for event in told[4:12]) == answer.text
    assert told[-1]["response"]["usage"]["output_tokens"] == 8


def test_an_answer_that_is_cut_is_incomplete() -> None:
    told = json.loads(
        OpenAIResponses().whole(
            asked(SimulatorConfig.model_validate({"latency": {"tokens": 40}}), max_output_tokens=16)
        )
    )
    assert (told["status"], told["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert told["usage"]["output_tokens"] == 16


def test_the_tool_is_called_and_then_answered() -> None:
    first = json.loads(OpenAIResponses().whole(asked(CALLS_TOOL, tools=[SEARCH])))
    (item,) = first["output"]
    assert (item["type"], item["name"], set(json.loads(item["arguments"]))) == (
        "function_call",
        "search",
        {"query"},
    )
    result = {"type": "function_call_output", "call_id": item["call_id"], "output": "a fact"}
    more = [{"role": "user", "content": "hello"}, item, result]
    second = json.loads(OpenAIResponses().whole(asked(CALLS_TOOL, tools=[SEARCH], input=more)))
    assert second["output"][0]["type"] == "message"


def test_a_streamed_tool_call_hands_its_arguments_over_in_pieces() -> None:
    told = events(OpenAIResponses().chunks(asked(CALLS_TOOL, stream=True, tools=[SEARCH])))
    pieces = [each["delta"] for each in told if each["type"] == "response.function_call_arguments.delta"]
    assert len(pieces) > 1
    assert "".join(pieces) == told[-1]["response"]["output"][0]["arguments"]


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]}, "No tool call found"),
        (
            {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}]},
            "No tool output found",
        ),
        ({"previous_response_id": "resp_nothing"}, "not found"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [SEARCH], "tool_choice": {"type": "function", "name": "other"}}, "other"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
    ],
)
def test_what_the_real_one_refuses_is_refused_with_what_is_wrong(more: dict[str, Any], what: str) -> None:
    with pytest.raises(BadRequestError, match=what):
        asked(**more)


def test_an_error_in_a_stream_is_an_event_and_a_failure_a_response() -> None:
    problem = WireProblem(status=429, type="tokens", message="Slow.", code="rate_limit_exceeded")
    (error,) = events([OpenAIResponses().error_event(problem)])
    assert (error["type"], error["code"], error["message"]) == ("error", "rate_limit_exceeded", "Slow.")
    (failed,) = events([OpenAIResponses().failed_event(problem, asked(stream=True))])
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"] == {"code": "rate_limit_exceeded", "message": "Slow."}


def test_an_answer_goes_on_from_an_earlier_one_by_its_id() -> None:
    api = Api()
    first = api.ask("POST", PATH, content=body("openai-responses", "Mine is CANARY-a1.")).json()
    on = {"previous_response_id": first["id"]}
    second = api.ask("POST", PATH, content=body("openai-responses", "My canary words?", **on)).json()
    assert second["output"][0]["content"][0]["text"] == "CANARY-a1"
    assert second["previous_response_id"] == first["id"]
    assert second["usage"]["input_tokens"] > first["usage"]["input_tokens"]


def test_a_response_is_kept_until_it_is_deleted_and_only_where_it_may_be() -> None:
    api = Api()
    kept = api.ask("POST", PATH, content=body("openai-responses", "one")).json()
    unkept = api.ask("POST", PATH, content=body("openai-responses", "two", store=False)).json()
    assert api.ask("GET", f"{PATH}/{kept['id']}").json() == kept
    assert api.ask("GET", f"{PATH}/{unkept['id']}").status_code == 404
    assert api.ask("DELETE", f"{PATH}/{kept['id']}").json()["deleted"] is True
    assert api.ask("DELETE", f"{PATH}/{kept['id']}").status_code == 404
    refused = api.ask("POST", PATH, content=body("openai-responses", previous_response_id=kept["id"])).json()
    assert (refused["error"]["code"], refused["error"]["param"]) == (
        "previous_response_not_found",
        "previous_response_id",
    )


def test_what_is_remembered_takes_no_more_memory_than_it_is_long() -> None:
    wire = OpenAIResponses()
    many = body("openai-responses", input=[{} for _ in range(100_000)])
    told = json.loads(wire.whole(answer_to(wire.parse(PATH, many), SimulatorConfig())))
    kept = wire.store.get(told["id"])
    assert kept is not None
    assert {type(getattr(kept, name)) for name in kept.__slots__} == {bytes}
    assert len(many) / 2 < kept.size < 2 * len(many)
    further = body("openai-responses", previous_response_id=told["id"])
    assert len(wire.parse(PATH, further).extra.items) == 100_002


def test_a_conversation_that_is_too_large_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.simulator.wire.response_store.LARGEST_BYTES", 3000)
    wire = OpenAIResponses()
    names = [
        json.loads(
            wire.whole(answer_to(wire.parse(PATH, body("openai-responses", text)), SimulatorConfig()))
        )["id"]
        for text in ("small", "large" * 1000)
    ]
    assert [wire.store.get(name) is not None for name in names] == [True, False]


def test_many_calls_of_tools_are_matched_with_their_results_in_one_pass() -> None:
    equal = 0

    class Name(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            nonlocal equal
            equal += 1
            return super().__eq__(other)

        __hash__ = str.__hash__

    many = [str(number) for number in range(500)]
    items = [{"type": "function_call", "call_id": Name(name)} for name in many]
    _check_results([*items, *({"type": "function_call_output", "call_id": Name(name)} for name in many)])
    assert equal < 5 * len(many)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.simulator.wire.response_store.STORED_BYTES", 5000)
    wire = OpenAIResponses()
    names = []
    for number in range(20):
        asked_for = wire.parse(PATH, body("openai-responses", f"prompt {number}"))
        names.append(json.loads(wire.whole(answer_to(asked_for, SimulatorConfig())))["id"])
    kept = [wire.store.get(name) is not None for name in names]
    assert kept == sorted(kept)
    assert 0 < sum(kept) < 10
