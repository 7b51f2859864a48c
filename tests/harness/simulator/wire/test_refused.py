"""What the real APIs refuse is refused in their words, and what they take is taken.

Each of these was seen to break agents that a more lenient server had let pass.
"""

from typing import Any

import pytest

from harness.simulator.wire.protocol import BadRequestError
from tests.harness.simulator.wires import WIRES, body, path

U = {"role": "user", "content": "hello"}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
OPTIONAL = OPEN | {"additionalProperties": False, "required": []}
NESTED = {
    "type": "object",
    "properties": {"all": {"type": "array", "items": {"anyOf": [OPEN, {"type": "null"}]}}},
    "required": ["all"],
    "additionalProperties": False,
}
STRICT = {"$defs": {"a": OPEN | {"additionalProperties": False}}, **OPEN, "additionalProperties": False}
SEARCH = {"type": "web_search", "name": "web_search"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "x"}
GEMINI_CALL = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}
GEMINI_RESULT = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}
NAMING = ("openai", "openai-responses", "anthropic", "bedrock", "bedrock-invoke", "gemini")
CALLED: list[dict[str, Any]] = [
    {"role": "user", "content": [{"text": "hello"}]},
    {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}]},
    {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"text": "x"}]}}]},
]


def function(schema: object, *, strict: bool = True) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "strict": strict, "parameters": schema}}


def flat(schema: object) -> dict[str, Any]:
    return {"type": "function", "name": "f", "strict": True, "parameters": schema}


def answer_of(schema: object, name: str = "trip") -> dict[str, Any]:
    form = {"name": name, "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def format_of(schema: object, name: str) -> dict[str, Any]:
    return {"text": {"format": {"type": "json_schema", "name": name, "schema": schema, "strict": True}}}


def called(ids: list[str], results: list[dict[str, Any]]) -> dict[str, Any]:
    """A conversation in which tools were called, and what the user's next message has of it."""
    uses = [{"type": "tool_use", "id": each, "name": "f", "input": {}} for each in ids]
    return {"messages": [U, {"role": "assistant", "content": uses}, {"role": "user", "content": results}]}


def named(protocol: str, *names: str) -> dict[str, Any]:
    """What offers tools of these names."""
    match protocol:
        case "openai":
            return {"tools": [{"type": "function", "function": {"name": name}} for name in names]}
        case "openai-responses":
            return {"tools": [{"type": "function", "name": name} for name in names]}
        case "bedrock":
            return {"toolConfig": {"tools": [{"toolSpec": {"name": name}} for name in names]}}
        case "gemini":
            return {"tools": [{"functionDeclarations": [{"name": name} for name in names]}]}
    return {"tools": [{"name": name, "input_schema": {"type": "object"}} for name in names]}


def parsed(protocol: str, more: dict[str, Any]) -> Any:
    return WIRES.of(path(protocol)).parse(path(protocol), body(protocol, **more))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("protocol", "more", "what"),
    [
        ("openai", {"tool_choice": "auto"}, "'tool_choice' is only allowed when 'tools' are specified"),
        ("openai", {"parallel_tool_calls": False}, "'parallel_tool_calls' is only allowed"),
        ("openai", {"messages": [U, {"role": "assistant", "content": "x", "tool_calls": []}, U]}, r"\[1\]"),
        ("openai", {"messages": [U, {"role": "assistant"}, U]}, r"expected a string, got null"),
        ("openai", {"messages": [{"role": "user", "content": [{"type": "x"}]}]}, "'x'. Supported values"),
        ("openai", {"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "Missing required"),
        ("openai", {"max_tokens": 5, "max_completion_tokens": 5}, "at the same time"),
        ("openai", {"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
        ("openai", answer_of(OPEN), r"response_format 'trip': In context=\(\), 'additionalProperties'"),
        ("openai", answer_of(OPTIONAL), r"every key in properties. Missing 'a'"),
        ("openai", answer_of(NESTED), r"\('properties', 'all', 'items', 'anyOf', '0'\)"),
        ("openai", {"tools": [function(OPEN)]}, "Invalid schema for function 'f'"),
        ("openai-responses", {"tools": [flat(OPEN)]}, "Invalid schema for function 'f'"),
        ("openai-responses", {"text": {"format": {"type": "json_object"}}}, "must contain the word 'json'"),
        ("openai-responses", {"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ("anthropic", {"messages": [{"role": "user", "content": ""}]}, r"messages\.0: .* non-empty content"),
        (
            "anthropic",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
            "be non-e",
        ),
        ("anthropic", {"messages": [{"role": "user", "content": " \n"}]}, "non-whitespace text"),
        ("anthropic", {"messages": [U, {"role": "assistant", "content": []}, U]}, r"messages\.1: "),
        ("bedrock-invoke", {"messages": [{"role": "user", "content": ""}]}, "non-empty content"),
        ("bedrock", {"messages": [{"role": "user", "content": [{"text": " "}]}]}, r"0\.content\.0 is blank"),
        ("bedrock", {"messages": [{"role": "user", "content": []}]}, r"messages\.0 is empty"),
        ("bedrock", {"messages": CALLED}, "toolConfig field must be defined"),
        (
            "openai",
            named("openai", "f", "a.b"),
            r"'tools\[1\]\.function\.name': string does not match pattern",
        ),
        ("openai", named("openai", "f" * 65), "maximum length 64, but got a string with length 65"),
        ("openai-responses", named("openai-responses", "a b"), r"'tools\[0\]\.name': string does not match"),
        ("anthropic", named("anthropic", "f", "a.b"), r"tools\.1\.custom\.name: String should match pattern"),
        ("anthropic", named("anthropic", "f" * 129), r"tools\.0\.custom\.name"),
        ("anthropic", named("anthropic", "f", "f"), "Tool names must be unique"),
        ("bedrock", named("bedrock", "f", "a b"), r"'toolConfig\.tools\.2\.member\.toolSpec\.name' failed"),
        ("bedrock", named("bedrock", "f" * 65), "failed to satisfy"),
        ("gemini", named("gemini", "f", "1f"), r"function_declarations\[1\]\.name: Invalid function name"),
        ("openai", {"stream_options": {"include_usage": True}}, "only allowed when 'stream' is enabled"),
        ("openai-responses", {"max_output_tokens": 15}, "Expected a value >= 16, but got 15 instead"),
        ("openai", {"n": 2}, "'n' must be 1"),
        ("openai", {"logprobs": True}, "has no 'logprobs'"),
        ("openai", {"top_logprobs": 3}, "has no 'logprobs'"),
        ("openai-responses", {"top_logprobs": 3}, "has no 'top_logprobs'"),
        ("openai-responses", {"conversation": "conv_1"}, "has no 'conversation'"),
        ("gemini", {"generationConfig": {"candidateCount": 2}}, "candidateCount must be 1"),
        (
            "anthropic",
            {"messages": [U, {"role": "assistant", "content": "So: "}]},
            "end with trailing whitespace",
        ),
        (
            "bedrock-invoke",
            {"messages": [U, {"role": "assistant", "content": [{"type": "text", "text": "So:\n"}]}]},
            "end with trailing whitespace",
        ),
        ("anthropic", called(["t"], [RESULT, RESULT]), "Found multiple `tool_result` blocks with id: t"),
        ("anthropic", called(["t"], [{"type": "text", "text": "Here:"}, RESULT]), "immediately after: t"),
        ("anthropic", called(["t", "t"], [RESULT]), "`tool_use` ids must be unique"),
        ("bedrock", {"messages": [CALLED[0], CALLED[0]]}, "must alternate between user and assistant"),
        (
            "bedrock",
            {"messages": [*CALLED[:2], CALLED[2] | {"content": CALLED[2]["content"] * 2}]},
            "duplicate Ids",
        ),
        (
            "bedrock",
            {"messages": [CALLED[0], CALLED[1] | {"content": CALLED[1]["content"] * 2}]},
            "toolUse blocks at",
        ),
        ("gemini", {"contents": [GEMINI_CALL, GEMINI_RESULT]}, "immediately after a user turn"),
        (
            "openai",
            answer_of(STRICT, "Trip[int]"),
            r"response_format\.json_schema\.name.*does not match pattern",
        ),
        ("openai-responses", format_of(STRICT, "Trip[int]"), r"text\.format\.name.*does not match pattern"),
    ],
)
def test_what_the_real_one_refuses_is_refused_in_its_words(
    protocol: str, more: dict[str, Any], what: str
) -> None:
    with pytest.raises(BadRequestError, match=what):
        parsed(protocol, more)


@pytest.mark.parametrize(
    ("protocol", "more"),
    [
        ("openai", {"max_tokens": None, "max_completion_tokens": 5}),
        ("openai", {"tools": []}),
        ("openai", {"tools": None, "tool_choice": None, "response_format": None}),
        ("openai", {"messages": [U, {"role": "assistant", "refusal": "no"}, U]}),
        ("openai", {"messages": [{"role": "user", "content": [PICTURE]}]}),
        (
            "openai",
            {
                "messages": [{"role": "user", "content": "as JSON"}],
                "response_format": {"type": "json_object"},
            },
        ),
        ("openai", answer_of(STRICT)),
        ("openai", {"tools": [function(STRICT), function(OPEN, strict=False)]}),
        ("openai-responses", {"tools": [flat(STRICT)]}),
        ("openai-embeddings", {"encoding_format": None, "dimensions": None}),
        ("anthropic", {"messages": [U, {"role": "assistant", "content": ""}]}),
        *((protocol, named(protocol, "get_a-1")) for protocol in NAMING),
        ("anthropic", named("anthropic", "f" * 128)),
        ("gemini", named("gemini", "_a.b:c")),
        ("openai", {"stream": True, "stream_options": {"include_usage": True}}),
        ("openai", {"stream_options": None}),
        ("openai", {"n": 1, "logprobs": False, "top_logprobs": None}),
        ("gemini", {"generationConfig": {"candidateCount": 1}}),
        ("anthropic", {"messages": [U, {"role": "assistant", "content": "So:"}]}),
        ("anthropic", {"messages": [U, {"role": "assistant", "content": "So: "}, U, U]}),
        ("anthropic", called(["t"], [RESULT, {"type": "text", "text": "Go on."}])),
        (
            "gemini",
            {"contents": [{"role": "user", "parts": [{"text": "hello"}]}, GEMINI_CALL, GEMINI_RESULT]},
        ),
        ("openai", answer_of(STRICT, "Trip_1-a")),
        ("openai-responses", format_of(STRICT, "Trip_1-a")),
        ("bedrock", {"messages": CALLED, "toolConfig": {"tools": [{"toolSpec": {"name": "f"}}]}}),
    ],
)
def test_what_the_real_one_takes_is_taken(protocol: str, more: dict[str, Any]) -> None:
    assert parsed(protocol, more).model == "m"


def test_a_limit_that_is_null_is_none_and_the_other_one_holds() -> None:
    assert parsed("openai", {"max_tokens": 7, "max_completion_tokens": None}).max_tokens == 7


@pytest.mark.parametrize(
    ("protocol", "choice"),
    [
        ("openai-responses", "required"),
        ("openai-responses", {"type": "web_search"}),
        ("anthropic", {"type": "any"}),
        ("anthropic", {"type": "tool", "name": "web_search"}),
    ],
)
def test_a_tool_that_the_provider_runs_may_be_demanded_and_is_not_called(
    protocol: str, choice: object
) -> None:
    request = parsed(protocol, {"tools": [SEARCH], "tool_choice": choice})
    assert (request.tools, request.must_call) == ([], False)
