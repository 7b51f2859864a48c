"""Messages as Anthropic's models take and give them, whoever serves them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from harness.simulator.wire.protocol import BadRequestError, Finish, ModelAnswer, ModelRequest, Tool
from harness.simulator.wire.reading import (
    MALFORMED,
    check_number,
    check_roles,
    checked_max_tokens,
    checked_model,
    checked_stops,
    checked_stream,
    last_user_text,
    name_of_call,
    texts_of,
    twice,
    user_texts_of,
)

Events = list[dict[str, Any]]
_ROLES = ("user", "assistant", "system")
_ENDS = {
    Finish.STOP: "end_turn",
    Finish.STOPPED: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL: "tool_use",
}
MOST_STOPS = 8191
_NAME = re.compile("[a-zA-Z0-9_-]{1,128}")
_BLOCK_STOP: dict[str, Any] = {"type": "content_block_stop", "index": 0}


def read_messages(record: Mapping[str, Any]) -> ModelRequest:
    """Read a request that is parsed.

    Raises:
        BadRequestError: it is not valid.
    """
    try:
        messages, system = record["messages"], record.get("system")
        texts = [*texts_of(system)]
        texts += [text for message in messages for text in _read_in(message["content"])]
        roles = [message["role"] for message in messages]
        check_roles(roles, _ROLES)
        _check_places(roles)
        _check_results(messages)
        _check_texts(messages)
        question, results = last_user_text(messages, "tool_result")
        offered = [
            Tool(tool["name"], tool.get("input_schema"))
            for tool in record.get("tools") or ()
            if tool.get("type") in {None, "custom"}
        ]
        others = {
            tool.get("name", tool["type"])  # a set of tools has no name
            for tool in record.get("tools") or ()
            if tool.get("type") not in {None, "custom"}
        }
        _check_names(record.get("tools") or ())
        tools, must_call = _chosen(offered, others, record.get("tool_choice"))
        form = (record.get("output_config") or {}).get("format") or record.get("output_format") or {}
        schema = form["schema"] if form else None
    except MALFORMED as error:
        raise BadRequestError(f"messages: not a Messages request: {error!r:.200}") from error
    if not messages:
        raise BadRequestError("messages: at least one message is required", param="messages")
    check_number(record, "temperature", 1)
    check_number(record, "top_p", 1)
    model = checked_model(record.get("model"))
    limit = checked_max_tokens(record.get("max_tokens"), least=0)
    return ModelRequest(
        model=model,
        stream=checked_stream(record),
        call_id=name_of_call(model, [system, messages]),
        texts=texts,
        user_texts=user_texts_of(messages),
        question=question,
        tool_results=results,
        tools=tools,
        must_call=must_call,
        schema=schema,
        max_tokens=limit,
        counts=limit == 0,  # nothing is to be said: the prompt is only read
        stops=_stops(record.get("stop_sequences")),
    )


def _stops(told: Any) -> Sequence[str]:
    stops = checked_stops(told, "stop_sequences", MOST_STOPS)
    if not all(map(str.strip, stops)):
        raise BadRequestError("stop_sequences: each stop sequence must contain non-whitespace")
    return stops


def _check_places(roles: Sequence[str]) -> None:
    """Refuse instructions of the system's that stand anywhere but after a user's message."""
    for number, role in enumerate(roles):
        if role == "system" and (number == 0 or roles[number - 1] == "assistant"):
            raise BadRequestError(
                f'messages.{number}: a message of role "system" must follow one of the user\'s. The Messages '
                "API accepts a top-level `system` parameter for all else."
            )


def _read_in(content: Any) -> Iterator[str]:
    """Yield the texts that a model reads in a message: what tools answered as well."""
    yield from texts_of(content)
    for block in content if isinstance(content, list) else ():
        if block.get("type") == "tool_result":
            yield from texts_of(block.get("content"))


def _chosen(tools: list[Tool], others: set[str], choice: Any) -> tuple[list[Tool], bool]:
    """Return the tools that may be called, and whether one of them must be.

    Args:
        tools: that are offered.
        others: names of those that Anthropic runs itself, which are taken and never called.
        choice: what the caller wants.
    """
    match choice:
        case None | {"type": "auto"}:
            return tools, False
        case {"type": "none"}:
            return [], False
        case {"type": "any"} if tools:
            return tools, True
        case {"type": "any"} if others:
            return [], False
        case {"type": "tool", "name": str(name)} if name in others:
            return [], False
        case {"type": "tool", "name": name}:
            if chosen := [tool for tool in tools if tool.name == name]:
                return chosen, True
            raise BadRequestError(f"tool_choice: Tool '{name}' not found in provided tools")
    raise BadRequestError("tool_choice: Input should be 'auto', 'any' or 'tool' with tools, or 'none'")


def _check_names(tools: Sequence[Mapping[str, Any]]) -> None:
    """Refuse names of tools that are not fit for one, and two tools of one name."""
    names = [tool["name"] for tool in tools if "name" in tool]
    for number, tool in enumerate(tools):
        if tool.get("type") in {None, "custom"} and not _NAME.fullmatch(tool["name"]):
            raise BadRequestError(
                f"tools.{number}.custom.name: String should match pattern '^{_NAME.pattern}$'"
            )
    if len(set(names)) < len(names):
        raise BadRequestError("tools: Tool names must be unique.")


def _check_results(messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a tool's result that nothing asked for just before, and calls of tools that have none."""
    called: set[str] = set()
    for number, message in enumerate(messages):
        content = message["content"]
        blocks = content if isinstance(content, list) else []
        results = [block["tool_use_id"] for block in blocks if block.get("type") == "tool_result"]
        told = set(results)
        if told - called:
            names = ", ".join(sorted(told - called))
            raise BadRequestError(
                f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks: {names}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        after_text = any(block.get("type") != "tool_result" for block in blocks[: len(results)])
        if missing := called if after_text else called - told:
            names = ", ".join(sorted(missing))
            raise BadRequestError(
                f"messages.{number - 1}: `tool_use` ids were found without `tool_result` blocks immediately "
                f"after: {names}."
            )
        if again := twice(results):
            raise BadRequestError(
                f"messages.{number}.content: each tool_use must have a single result. Found multiple "
                f"`tool_result` blocks with id: {', '.join(again)}"
            )
        uses = [block["id"] for block in blocks if block.get("type") == "tool_use"]
        if twice(uses):
            raise BadRequestError("messages: `tool_use` ids must be unique")
        called = set(uses)


def _check_texts(messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse messages that say nothing, such as a blank prompt, and an answer begun that ends in a space."""
    for number, message in enumerate(messages):
        content = message["content"]
        if not content:
            if message["role"] == "assistant" and number == len(messages) - 1:
                continue
            raise BadRequestError(
                f"messages.{number}: all messages must have non-empty content except for the optional final "
                "assistant message"
            )
        for text in texts_of(content):
            if not text:
                raise BadRequestError("messages: text content blocks must be non-empty")
            if text.isspace():
                raise BadRequestError("messages: text content blocks must contain non-whitespace text")
    if not messages or messages[-1]["role"] != "assistant":
        return
    begun = messages[-1]["content"]
    for text in texts_of(begun if isinstance(begun, str) else begun[-1:]):
        if text != text.rstrip():
            raise BadRequestError("messages: final assistant content cannot end with trailing whitespace")


def whole_message(answer: ModelAnswer) -> bytes:
    """Write an answer as a message."""
    usage = {"output_tokens": answer.tokens}
    return to_json(_message(answer, usage) | {"content": blocks_of(answer)} | _end(answer))


def blocks_of(answer: ModelAnswer) -> list[dict[str, Any]]:
    """Return the content of an answer's message."""
    if answer.request.counts:
        return []
    return [_tool_use(answer, answer.arguments) if answer.tool else _text(answer.text)]


def message_events(answer: ModelAnswer) -> tuple[Events, Sequence[str], Events]:
    """Return the events of a streamed message before its pieces, these, and the events after them."""
    block = _tool_use(answer, {}) if answer.tool else _text("")
    opened: Events = [
        {"type": "message_start", "message": _message(answer, {"output_tokens": 1})},
        *(
            []
            if answer.request.counts
            else [{"type": "content_block_start", "index": 0, "content_block": block}]
        ),
        {"type": "ping"},
    ]
    closed = [
        *([] if answer.request.counts else [_BLOCK_STOP]),
        {"type": "message_delta", "delta": _end(answer), "usage": {"output_tokens": answer.tokens}},
        {"type": "message_stop"},
    ]
    return opened, () if answer.request.counts else answer.pieces, closed


def delta_head(answer: ModelAnswer) -> bytes:
    """Return what the event of each piece begins with; the piece and `}}` end it."""
    kind, field = ("input_json_delta", "partial_json") if answer.tool else ("text_delta", "text")
    return b'{"type":"content_block_delta","index":0,"delta":{"type":"%b","%b":' % (
        kind.encode(),
        field.encode(),
    )


def _message(answer: ModelAnswer, usage: dict[str, int]) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.call_id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": answer.input_tokens} | usage,
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _tool_use(answer: ModelAnswer, tool_input: dict[str, Any]) -> dict[str, Any]:
    name = answer.tool.name if answer.tool else ""
    return {"type": "tool_use", "id": f"toolu_{answer.call_id}", "name": name, "input": tool_input}


def _end(answer: ModelAnswer) -> dict[str, str | None]:
    finish = Finish.LENGTH if answer.request.counts else answer.finish
    return {"stop_reason": _ENDS.get(finish, "refusal"), "stop_sequence": answer.stop}
