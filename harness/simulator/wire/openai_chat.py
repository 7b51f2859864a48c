"""OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from harness.simulator.wire.openai_http import (
    OpenAIHttp,
    check_says_json,
    check_strict,
    checked_name,
    schema_of_format,
    tools_by_choice,
)
from harness.simulator.wire.protocol import BadRequestError, Finish, ModelAnswer, ModelRequest, Tool
from harness.simulator.wire.reading import (
    MALFORMED,
    check_number,
    check_roles,
    checked_max_tokens,
    checked_model,
    checked_stops,
    checked_stream,
    name_of_call,
    texts_of,
)

_ROLES = frozenset(("system", "assistant", "user", "function", "tool", "developer"))
_HEAD = (
    b'{"id":"chatcmpl-%b","object":"%b","created":1700000000,"model":%b,"service_tier":"default",'
    b'"system_fingerprint":"fp_simulator"'
)
_SETTINGS = frozenset(
    (
        *("temperature", "top_p", "presence_penalty", "frequency_penalty", "n", "logprobs", "top_logprobs"),
        "max_completion_tokens",
    )
)
_ENDS = {Finish.STOP: "stop", Finish.STOPPED: "stop", Finish.LENGTH: "length", Finish.TOOL: "tool_calls"}
MOST_STOPS = 4
_PARTS = ("text", "image_url", "input_audio", "refusal", "audio", "file")
_NO_CONTENT = ("tool_calls", "function_call", "refusal", "audio")
"""What a message of the model's has that says nothing."""


class OpenAIChat(OpenAIHttp):
    """Chat completions: JSON, or server-sent events that `[DONE]` ends."""

    name = "openai"
    paths = ("/v1/chat/completions",)

    def read(self, record: dict[str, Any]) -> ModelRequest:
        """Read a request that is parsed.

        Raises:
            BadRequestError: it is not valid.
        """
        try:
            messages = record["messages"]
            roles = [message["role"] for message in messages]
            contents = [message.get("content") for message in messages]
            texts = [[told] if isinstance(told, str) else [*texts_of(told)] for told in contents]
            user_texts = [
                text for role, parts in zip(roles, texts, strict=True) if role == "user" for text in parts
            ]
            options = record.get("stream_options")
            usage = bool(options and options.get("include_usage"))
            if not _ROLES.issuperset(roles):
                check_roles(roles, sorted(_ROLES))
            for number, told in enumerate(contents):
                if isinstance(told, list):
                    _check_parts(told, number)
            _check_results(messages)
            tools, must_call = _tools(record)
            form = record.get("response_format")
            schema = schema_of_format(form, "response_format") if form else None
        except MALFORMED as error:
            raise BadRequestError(f"not a chat completion request: {error!r:.200}") from error
        if not roles:
            raise BadRequestError("messages must not be empty", param="messages")
        if not _SETTINGS.isdisjoint(record):
            _check_settings(record)
        stream = checked_stream(record)
        if options is not None and not stream:
            message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            raise BadRequestError(message, param="stream_options")
        model = checked_model(record.get("model"))
        user = len(roles) - 1
        while user >= 0 and roles[user] != "user":
            user -= 1
        told_texts = [text for of_message in texts for text in of_message]
        if schema is not None:
            check_says_json(
                form,
                told_texts,
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
                "'json_object'.",
                "messages",
            )
        limit = "max_tokens" if record.get("max_completion_tokens") is None else "max_completion_tokens"
        return ModelRequest(
            model=model,
            stream=stream,
            wants_usage=usage,
            call_id=name_of_call(model, messages),
            texts=told_texts,
            user_texts=user_texts,
            question=" ".join(texts[user]) if user >= 0 else "",
            tool_results=roles[user + 1 :].count("tool"),
            tools=tools,
            must_call=must_call,
            schema=schema,
            max_tokens=checked_max_tokens(record.get(limit), limit),
            stops=_stops(record.get("stop")),
        )

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write an answer at once."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if answer.tool else answer.text,
            "refusal": None,
        }
        if answer.tool:
            message["tool_calls"] = [_tool_call(answer, answer.tool.name, answer.text)]
        head, usage = _head(answer, b"chat.completion"), to_json(_usage(answer))
        choice = b'{"index":0,"message":%b' % to_json(message) + _ending(_end(answer))
        return b'%b,"choices":[%b],"usage":%b}' % (head, choice, usage)

    def chunks(self, answer: ModelAnswer) -> list[bytes]:
        """Write a streamed answer; what is the same in each event is put together once."""
        head = b"data: " + _head(answer, b"chat.completion.chunk")
        if answer.request.wants_usage:
            head += b',"usage":null'
        begin, after = head + b',"choices":[{"index":0,"delta":', _ending(None) + b"]}\n\n"
        first, *others = answer.pieces
        delta: dict[str, Any] = {"role": "assistant", "content": first, "refusal": None}
        before, after_text = begin + b'{"content":', b"}" + after
        if answer.tool:
            call = {"index": 0} | _tool_call(answer, answer.tool.name, first)
            delta = {"role": "assistant", "content": None, "tool_calls": [call]}
            before = begin + b'{"tool_calls":[{"index":0,"function":{"arguments":'
            after_text = b"}}]}" + after
        tokens = [
            begin + to_json(delta) + after,
            *(before + to_json(text) + after_text for text in others),
        ]
        end = begin + b"{}" + _ending(_end(answer)) + b"]}\n\n"
        if answer.request.wants_usage:
            head = b"data: " + _head(answer, b"chat.completion.chunk")
            end += b'%b,"choices":[],"usage":%b}\n\n' % (head, to_json(_usage(answer)))
        return [*tokens, end + b"data: [DONE]\n\n"]


def _stops(told: Any) -> Sequence[str]:
    return checked_stops([told] if isinstance(told, str) else told, "stop", MOST_STOPS)


def _tools(record: Mapping[str, Any]) -> tuple[Sequence[Tool], bool]:
    """Return the tools that may be called, and whether one of them must be."""
    offered = record.get("tools")
    if offered is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if record.get(name) is not None:
                message = f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
                raise BadRequestError(message, param=name)
        return (), False
    if not offered:  # reports disagree whether that is refused, and Strands says so where it has none
        return (), False
    tools = [_tool(tool, number) for number, tool in enumerate(offered)]
    return tools_by_choice(tools, record.get("tool_choice"))


def _check_parts(parts: Sequence[Mapping[str, Any]], number: int) -> None:
    """Refuse a part of a message's content that is of no kind that there is."""
    for at, part in enumerate(parts):
        if (kind := part.get("type")) not in _PARTS:
            where = f"messages[{number}].content[{at}].type"
            if kind is None:
                raise BadRequestError(f"Missing required parameter: '{where}'.", param=where)
            known = ", ".join(f"'{name}'" for name in _PARTS)
            raise BadRequestError(f"Invalid value: {kind!r:.50}. Supported values are: {known}.", param=where)


def _tool(tool: Mapping[str, Any], number: int) -> Tool:
    match tool.get("type"):
        case "function":
            function = tool["function"]
            checked_name(function["name"], f"tools[{number}].function.name")
            if function.get("strict") is True:
                check_strict(function.get("parameters"), f"function '{function['name']}'", "tools")
            return Tool(function["name"], function.get("parameters"))
        case kind:
            message = f"Invalid value: {kind!r:.50}. The only type of tool here is: 'function'."
            raise BadRequestError(message, param=f"tools[{number}].type")


def _check_results(messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a tool's result that nothing asked for, and calls of tools that have none."""
    waiting: set[str] = set()
    for number, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                raise BadRequestError(
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
                    param=f"messages.[{number}].role",
                )
            waiting.discard(message["tool_call_id"])
            continue
        if waiting:
            _refuse_waiting(waiting, number)
        calls = message.get("tool_calls")
        if calls:
            waiting = {call["id"] for call in calls}
        elif calls is not None:
            where = f"messages[{number}].tool_calls"
            wanted = "Expected an array with minimum length 1, but got an empty array instead."
            raise BadRequestError(
                f"Invalid '{where}': empty array. {wanted}", param=where, code="empty_array"
            )
        elif message.get("content") is None and not any(message.get(name) for name in _NO_CONTENT):
            param = f"messages.[{number}].content"
            raise BadRequestError(
                f"Invalid value for 'content': expected a string, got null. ({param})", param=param
            )
    if waiting:
        _refuse_waiting(waiting, len(messages))


def _refuse_waiting(waiting: set[str], number: int) -> None:
    raise BadRequestError(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
        f"'tool_call_id'. These did not have response messages: {', '.join(sorted(waiting))}",
        param=f"messages.[{number}].role",
    )


def _check_settings(record: Mapping[str, Any]) -> None:
    """Refuse settings that the model doesn't take, and those that nothing here would come of."""
    check_number(record, "temperature", 2)
    check_number(record, "top_p", 1)
    check_number(record, "presence_penalty", 2, -2)
    check_number(record, "frequency_penalty", 2, -2)
    if (choices := record.get("n")) is not None and choices != 1:
        raise BadRequestError("This simulator gives one choice: 'n' must be 1.", param="n")
    if record.get("max_tokens") is not None and record.get("max_completion_tokens") is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise BadRequestError(message, code="invalid_parameter_combination")
    if record.get("logprobs") or record.get("top_logprobs"):
        raise BadRequestError("This simulator has no 'logprobs'.", param="logprobs")


def _head(answer: ModelAnswer, kind: bytes) -> bytes:
    """Return what every answer and chunk begins with, still open."""
    return _HEAD % (answer.call_id.encode(), kind, to_json(answer.model))


def _ending(finish: str | None) -> bytes:
    """Return what every choice ends with."""
    return b',"logprobs":null,"finish_reason":%b}' % to_json(finish)


def _tool_call(answer: ModelAnswer, name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{answer.call_id}", "type": "function", "function": function}


def _end(answer: ModelAnswer) -> str:
    return _ENDS.get(answer.finish, "content_filter")


def _usage(answer: ModelAnswer) -> dict[str, int]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.tokens,
        "total_tokens": answer.total_tokens,
    }
