"""Tools, choices of them, and structured answers: the same in every protocol that answers with text."""

import json
from base64 import b64decode
from typing import Any

import jsonschema
import pytest
from pydantic_core import from_json

from harness.simulator.wire.protocol import BadRequestError, Finish, ModelAnswer, Tool
from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.wires import STREAMING, answered, call

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Kyoto", "Oslo"]},
        "days": {"type": "integer", "minimum": 2},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
    "required": ["city", "days", "tags"],
    "additionalProperties": False,
}
NAMES = ("book", "weather")
CHOICES: dict[str, dict[str, Any]] = {
    "openai": {
        "none": "none",
        "any": "required",
        "named": {"type": "function", "function": {"name": "weather"}},
    },
    "openai-responses": {"none": "none", "any": "required", "named": {"type": "function", "name": "weather"}},
    "anthropic": {
        "none": {"type": "none"},
        "any": {"type": "any"},
        "named": {"type": "tool", "name": "weather"},
    },
    "bedrock": {"none": None, "any": {"any": {}}, "named": {"tool": {"name": "weather"}}},
    "gemini": {
        "none": {"mode": "NONE"},
        "any": {"mode": "ANY"},
        "named": {"mode": "ANY", "allowedFunctionNames": ["weather"]},
    },
}
FAMILY = {"azure": "openai", "azure-responses": "openai-responses", "bedrock-invoke": "anthropic"}
every_protocol = pytest.mark.parametrize("protocol", STREAMING)


def tools(protocol: str, choice: str | None = None) -> dict[str, Any]:
    family = FAMILY.get(protocol, protocol)
    chosen = CHOICES[family].get(choice or "")
    match family:
        case "openai":
            each = [{"type": "function", "function": {"name": n, "parameters": SCHEMA}} for n in NAMES]
            told: dict[str, Any] = {"tools": each}
        case "openai-responses":
            told = {"tools": [{"type": "function", "name": n, "parameters": SCHEMA} for n in NAMES]}
        case "anthropic":
            told = {"tools": [{"name": n, "input_schema": SCHEMA} for n in NAMES]}
        case "bedrock":
            if choice == "none":
                return {}
            specs = [{"toolSpec": {"name": n, "inputSchema": {"json": SCHEMA}}} for n in NAMES]
            return {"toolConfig": {"tools": specs} | ({"toolChoice": chosen} if chosen else {})}
        case _:
            declared = [{"name": n, "parametersJsonSchema": SCHEMA} for n in NAMES]
            config = {"toolConfig": {"functionCallingConfig": chosen}} if chosen else {}
            return {"tools": [{"functionDeclarations": declared}]} | config
    return told | ({"tool_choice": chosen} if chosen else {})


def structured(protocol: str) -> dict[str, Any]:
    match FAMILY.get(protocol, protocol):
        case "openai":
            schema = {"name": "trip", "schema": SCHEMA, "strict": True}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        case "openai-responses":
            return {"text": {"format": {"type": "json_schema", "name": "trip", "schema": SCHEMA}}}
        case "anthropic":
            return {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
        case "bedrock":
            form = {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(SCHEMA)}}}
            return {"outputConfig": {"textFormat": form}}
        case _:
            config = {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
            return {"generationConfig": config}


def ask(protocol: str, config: SimulatorConfig | None = None, **more: Any) -> ModelAnswer:
    return answered(call(protocol=protocol, **more), config)


@every_protocol
def test_a_tool_is_called_with_arguments_that_satisfy_its_schema(protocol: str) -> None:
    answer = ask(protocol, SimulatorConfig(tool_turns=1), **tools(protocol))
    assert answer.tool is not None
    assert answer.tool.name == "book"
    jsonschema.validate(json.loads(answer.text), SCHEMA)


@every_protocol
@pytest.mark.parametrize(
    ("choice", "called"), [(None, None), ("none", None), ("any", "book"), ("named", "weather")]
)
def test_the_choice_of_tools_decides_which_is_called(
    protocol: str, choice: str | None, called: str | None
) -> None:
    answer = ask(protocol, **tools(protocol, choice))
    assert (answer.tool.name if answer.tool else None) == called


@every_protocol
def test_a_choice_of_what_is_not_offered_is_refused(protocol: str) -> None:
    told = json.dumps(tools(protocol, "named"))
    at = told.rindex("weather")  # where it is chosen: in all of them, after what is offered
    told = told[:at] + "another" + told[at + len("weather") :]
    with pytest.raises(BadRequestError, match=r"(?i)tool|function"):
        ask(protocol, **json.loads(told))


LIMITS: dict[str, Any] = {
    "openai": {"max_tokens": 2},
    "openai-responses": {"max_output_tokens": 16},
    "anthropic": {"max_tokens": 2},
    "bedrock": {"inferenceConfig": {"maxTokens": 2}},
    "gemini": {"generationConfig": {"maxOutputTokens": 2}},
}
WIDE = {"type": "object", "properties": {f"field-{number}": {"type": "string"} for number in range(20)}}
CUT = {
    "openai": '"finish_reason":"length"',
    "openai-responses": '"incomplete_details":{"reason":"max_output_tokens"}',
    "anthropic": '"stop_reason":"max_tokens"',
    "bedrock": '"stopReason":"max_tokens"',
    "gemini": '"finishReason":"MAX_TOKENS"',
}


@every_protocol
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_call_of_a_tool_ends_where_the_caller_allows_no_more(protocol: str, *, stream: bool) -> None:
    family = FAMILY.get(protocol, protocol)
    asked = call(protocol=protocol, stream=stream, **tools(protocol, "any"), **LIMITS[family])
    asked.request.tools = [Tool("book", WIDE)]
    answer = answered(asked, SimulatorConfig.model_validate({"latency": {"tokens": 40}}))
    written = b"".join(asked.wire.chunks(answer)) if stream else asked.wire.whole(answer)
    assert answer.tokens == asked.request.max_tokens
    assert answer.tool is not None
    with pytest.raises(ValueError, match="EOF"):
        from_json(answer.text)
    if protocol == "bedrock-invoke" and stream:
        written = b64decode(written.split(b'{"bytes":"')[-2].partition(b'"')[0])
    assert CUT[family].encode() in written


def test_a_call_of_a_tool_that_fits_the_callers_limit_is_whole() -> None:
    told = SimulatorConfig.model_validate({"latency": {"tokens": 1000}})
    answer = ask("openai", told, **tools("openai", "any"), max_tokens=64)
    assert (answer.finish, answer.tokens) == (Finish.TOOL, 64)
    jsonschema.validate(json.loads(answer.text), SCHEMA)


@every_protocol
def test_a_structured_answer_satisfies_its_schema(protocol: str) -> None:
    answer = ask(protocol, **structured(protocol))
    assert answer.tool is None
    jsonschema.validate(json.loads(answer.text), SCHEMA)


LONG = "word " * 400


def after_a_call(protocol: str, result: str) -> dict[str, Any]:
    """A conversation in which a tool was called and has answered."""
    match FAMILY.get(protocol, protocol):
        case "openai":
            asked = {"id": "c", "type": "function", "function": {"name": "book", "arguments": "{}"}}
            turn: list[Any] = [
                {"role": "assistant", "tool_calls": [asked]},
                {"role": "tool", "tool_call_id": "c", "content": result},
            ]
        case "openai-responses":
            call_of_it = {"type": "function_call", "call_id": "c", "name": "book", "arguments": "{}"}
            output = {"type": "function_call_output", "call_id": "c", "output": result}
            return {"input": [{"role": "user", "content": "hello"}, call_of_it, output]}
        case "anthropic":
            told = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": result}]}
            turn = [
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "c", "name": "book", "input": {}}],
                },
                {"role": "user", "content": [told]},
            ]
        case "bedrock":
            told = {"toolResult": {"toolUseId": "c", "content": [{"json": {"said": result}}]}}
            use = {"toolUse": {"toolUseId": "c", "name": "book", "input": {}}}
            hello = {"role": "user", "content": [{"text": "hello"}]}
            turn = [hello, {"role": "assistant", "content": [use]}, {"role": "user", "content": [told]}]
            return {"messages": turn}
        case _:
            told = {"functionResponse": {"name": "book", "response": {"said": result}}}
            use = {"functionCall": {"name": "book", "args": {}}}
            hello = {"role": "user", "parts": [{"text": "hello"}]}
            return {"contents": [hello, {"role": "model", "parts": [use]}, {"role": "user", "parts": [told]}]}
    return {"messages": [{"role": "user", "content": "hello"}, *turn]}


@every_protocol
def test_what_a_tool_answered_is_read_and_fills_the_window(protocol: str) -> None:
    short, long = (
        ask(protocol, **tools(protocol), **after_a_call(protocol, result)) for result in ("x", LONG)
    )
    assert long.input_tokens > short.input_tokens + 300
