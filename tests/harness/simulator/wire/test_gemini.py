import json
from typing import Any

import httpx
import pytest

from harness.simulator.wire.gemini import Gemini, GeminiArray
from harness.simulator.wire.protocol import BadRequestError, WireProblem
from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.asgi import Api
from tests.harness.simulator.wires import WIRES, answered, body, call

WIRE = Gemini()
TOOLS = [{"functionDeclarations": [{"name": "search", "parameters": {"type": "OBJECT"}}]}]
CALLS_TOOL = SimulatorConfig(tool_turns=1)


def events(chunks: list[bytes]) -> list[dict[str, Any]]:
    lines = b"".join(chunks).decode().split("\r\n\r\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line]


def parts(told: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told["candidates"][0]["content"]["parts"]
    return found


def test_a_stream_is_a_content_a_token_and_one_with_the_reason() -> None:
    answer = answered(call(protocol="gemini", stream=True))
    *told, last = events(WIRE.chunks(answer))
    assert "".join(parts(each)[0]["text"] for each in told) == answer.text
    assert all("finishReason" not in each["candidates"][0] for each in told)
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert last["usageMetadata"] == {"promptTokenCount": 1, "candidatesTokenCount": 8, "totalTokenCount": 9}


def test_the_tool_is_called_and_its_result_is_a_part_of_the_next_turn() -> None:
    first = json.loads(WIRE.whole(answered(call(protocol="gemini", tools=TOOLS), CALLS_TOOL)))
    (part,) = parts(first)
    assert set(part["functionCall"]["args"]) == {"query"}
    response = {"functionResponse": {"name": "search", "response": {"result": "a fact"}}}
    contents = [
        {"role": "user", "parts": [{"text": "hello"}]},
        {"role": "model", "parts": [part]},
        {"role": "user", "parts": [response]},
    ]
    second = call(protocol="gemini", tools=TOOLS, contents=contents)
    assert (second.request.question, second.request.tool_results) == ("hello", 1)
    assert "text" in parts(json.loads(WIRE.whole(answered(second, CALLS_TOOL))))[0]


@pytest.mark.parametrize("field", ["parametersJsonSchema", "parameters_json_schema", "parameters"])
def test_fields_are_read_in_either_case(field: str) -> None:
    schema = {"type": "object", "properties": {"city": {"const": "Oslo"}}, "required": ["city"]}
    tools = [{"function_declarations": [{"name": "weather", field: schema}]}]
    calling = {"tool_config": {"function_calling_config": {"mode": "ANY"}}}
    answer = answered(call(protocol="gemini", tools=tools, **calling))
    assert json.loads(answer.text) == {"city": "Oslo"}


def test_what_the_model_said_in_a_row_is_one_turn_as_clients_keep_each_chunk_of_a_stream() -> None:
    part = {"functionCall": {"name": "weather", "args": {}}}
    result = {"functionResponse": {"name": "weather", "response": {}}}
    contents = [
        {"role": "user", "parts": [{"text": "hello"}]},
        {"role": "model", "parts": [part]},
        {"role": "model", "parts": []},
        {"role": "user", "parts": [result]},
    ]
    assert call(protocol="gemini", tools=TOOLS, contents=contents).request.tool_results == 1
    with pytest.raises(BadRequestError, match="function response parts"):
        call(protocol="gemini", tools=TOOLS, contents=[*contents, {"role": "user", "parts": [result]}])


def test_results_that_do_not_fit_the_calls_are_refused() -> None:
    contents = [{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}]
    with pytest.raises(BadRequestError, match="function response parts"):
        call(protocol="gemini", contents=contents)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1beta/models/gemini-3:generateContent", "gemini-3"),
        ("/v1beta/models/gemini-3%3AgenerateContent", "gemini-3"),
        ("/v1beta1/publishers/google/models/gemini-3:generateContent", "gemini-3"),  # Vertex with a key alone
        (
            "/v1beta1/projects/p/locations/us-east1/publishers/google/models/gemini-3:streamGenerateContent",
            "gemini-3",
        ),
    ],
)
def test_the_model_is_in_the_path(path: str, model: str) -> None:
    wire = WIRES.of(path)
    assert isinstance(wire, Gemini)
    assert wire.parse(path, body("gemini")).model == model


def test_when_to_come_back_stands_in_the_body() -> None:
    problem = WireProblem(status=429, type="RESOURCE_EXHAUSTED", message="No.", details=({"@type": "x"},))
    _, told = WIRE.error(problem, "r", 58.25)
    assert json.loads(told)["error"]["details"] == [
        {"@type": "x"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "58.25s"},
    ]


def test_the_key_is_the_api_key_or_the_bearer_token() -> None:
    assert WIRE.key({b"x-goog-api-key": b"k", b"authorization": b"Bearer t"}) == "k"
    assert WIRE.key({b"authorization": b"Bearer t"}) == "t"


def test_a_wait_that_counts_for_the_next_attempt_is_told_whatever_the_status() -> None:
    problem = WireProblem(status=503, type="UNAVAILABLE", message="The model is overloaded.")
    _, content = WIRE.error(problem, "id", 1.5)
    (detail,) = json.loads(content)["error"]["details"]
    assert detail["retryDelay"] == "1.5s"


STREAM = "/v1beta/models/m:streamGenerateContent"


def streamed(query: str, *faults: dict[str, Any], path: str = STREAM) -> httpx.Response:
    config = SimulatorConfig.model_validate({"faults": faults})
    return Api(config).ask("POST", path + query, content=body("gemini"))


@pytest.mark.parametrize("query", ["", "?alt=json", "?key=k", "?$alt=json"])
def test_who_does_not_ask_for_events_gets_one_array_of_the_same(query: str) -> None:
    answer = streamed(query)
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json() == events([streamed("?alt=sse").content])


@pytest.mark.parametrize("query", ["?alt=sse", "?key=k&alt=sse", "?$alt=sse", "?%24alt=sse"])
def test_who_asks_for_events_gets_events(query: str) -> None:
    answer = streamed(query)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert len(events([answer.content])) == 9


def test_an_array_comes_piece_by_piece() -> None:
    asked = call(protocol="gemini", stream=True)
    wire = WIRE.asked_by(STREAM, b"")
    assert isinstance(wire, GeminiArray)
    first, second, *_, last = wire.framed(wire.chunks(answered(asked)))
    assert first.startswith(b"[{")
    assert second.startswith(b"\n,\r\n{")
    assert last.endswith(b"}\n]")


@pytest.mark.parametrize("kind", ["error_event", "failed_event", "gateway_error_event"])
@pytest.mark.parametrize("after", [0, 2])
def test_an_error_within_an_array_is_its_last_element(kind: str, after: int) -> None:
    answer = streamed("", {"kind": kind, "after_chunks": after})
    *begun, last = answer.json()
    assert (answer.status_code, len(begun), [*last]) == (200, after, ["error"])


@pytest.mark.parametrize("kind", ["bad_chunk", "eof_clean"])
def test_an_array_that_breaks_off_is_no_json(kind: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        streamed("", {"kind": kind}).json()


def test_an_error_in_place_of_an_array_stands_in_one_and_else_alone() -> None:
    fault = {"kind": "overloaded"}
    ((alone,), by_event) = streamed("", fault).json(), streamed("?alt=sse", fault).json()
    assert alone == by_event
    assert by_event["error"]["status"] == "UNAVAILABLE"
    assert streamed("", fault, path="/v1beta/models/m:generateContent").json() == by_event
    assert streamed("", fault, path="/v1beta/models/m:countTokens").json() == by_event


@pytest.mark.parametrize("verb", ["generateContent", "streamGenerateContent", "countTokens"])
def test_the_key_may_stand_in_the_query(verb: str) -> None:
    api = Api(SimulatorConfig.model_validate({"auth": {"keys": ["s3cret"]}}))
    path = f"/v1beta/models/m:{verb}"
    told = [
        api.ask("POST", path + q, content=body("gemini")).status_code for q in ("?key=s3cret", "?key=x", "")
    ]
    assert told == [200, 400, 400]
