"""Bedrock's Converse and ConverseStream."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from pydantic_core import from_json, to_json

from harness.simulator.wire.bedrock_http import BedrockHttp, event
from harness.simulator.wire.protocol import BadRequestError, Finish, ModelAnswer, ModelRequest, Tool
from harness.simulator.wire.reading import (
    MALFORMED,
    check_number,
    check_roles,
    checked_max_tokens,
    checked_model,
    checked_stops,
    last_user_text,
    load,
    name_of_call,
    texts_of,
    twice,
    user_texts_of,
)

Events = list[tuple[str, dict[str, Any]]]
_NAME = re.compile("[a-zA-Z0-9_-]+")
LONGEST_NAME = 64
_ENDS = {
    Finish.STOP: "end_turn",
    Finish.STOPPED: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL: "tool_use",
}
MOST_STOPS = 2500


class BedrockConverse(BedrockHttp):
    """Converse as JSON, ConverseStream as frames of an event stream."""

    name = "bedrock"
    path = re.compile(r"^/model/([^/]+)/converse(-stream)?$")

    def parse(self, path: str, body: bytes) -> ModelRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not valid.
        """
        record = load(body)
        request = read_converse(record, *self.asked(path))
        _check_blocks(record["messages"], tools=record.get("toolConfig") is not None)
        return request

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write an answer at once."""
        return to_json(converse_output(answer) | {"metrics": _metrics(answer)})

    def chunks(self, answer: ModelAnswer) -> list[bytes]:
        """Write a streamed answer."""
        opened, pieces, closed = converse_events(answer)
        frames = [event(*each) for each in pieces]
        opening = b"".join([event(*each) for each in opened])
        return [opening + frames[0], *frames[1:], b"".join([event(*each) for each in closed])]


def read_converse(record: Mapping[str, Any], model: str, stream: bool) -> ModelRequest:  # noqa: FBT001 - as the path tells both
    """Read a request that is parsed.

    Raises:
        BadRequestError: it is not valid.
    """
    try:
        messages, system = record["messages"], record.get("system") or []
        texts = [*texts_of(system)]
        texts += [text for message in messages for text in _read_in(message["content"])]
        check_roles([message["role"] for message in messages], ("user", "assistant"))
        _check_results(messages)
        question, results = last_user_text(messages, "toolResult")
        settings = record.get("toolConfig") or {}
        offered = [_tool(tool["toolSpec"]) for tool in settings.get("tools", ()) if "toolSpec" in tool]
        _check_names(settings.get("tools", ()))
        tools, must_call = _chosen(offered, settings.get("toolChoice"))
        inference = record.get("inferenceConfig") or {}
        schema = _schema(record.get("outputConfig"))
        check_number(inference, "temperature", 1)
        check_number(inference, "topP", 1)
        limit = inference.get("maxTokens", inference.get("max_new_tokens"))
        stops = _stops(inference.get("stopSequences"))
    except MALFORMED as error:
        raise BadRequestError(f"not a Converse request: {error!r:.200}") from error
    if not messages or messages[0]["role"] != "user":
        raise BadRequestError("A conversation must start with a user message.")
    model = checked_model(model)
    return ModelRequest(
        model=model,
        stream=stream,
        call_id=name_of_call(model, [system, messages]),
        texts=texts,
        user_texts=user_texts_of(messages),
        question=question,
        tool_results=results,
        tools=tools,
        must_call=must_call,
        schema=schema,
        max_tokens=checked_max_tokens(limit, "maxTokens"),
        stops=stops,
    )


def _stops(told: Any) -> Sequence[str]:
    stops = checked_stops(told, "stopSequences", MOST_STOPS)
    if "" in stops:
        raise BadRequestError(
            "1 validation error detected: Value at 'inferenceConfig.stopSequences' failed to satisfy "
            "constraint: Member must satisfy constraint: [Member must have length greater than or equal to 1]"
        )
    return stops


def _read_in(content: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the texts that a model reads in a message: what tools answered as well."""
    yield from texts_of(content)
    for block in content:
        for told in block.get("toolResult", {}).get("content", ()):
            yield from texts_of([told])
            if "json" in told:
                yield to_json(told["json"]).decode()


def _check_names(tools: Sequence[Mapping[str, Any]]) -> None:
    """Refuse names of tools that are not fit for one."""
    for number, tool in enumerate(tools, 1):
        name = tool["toolSpec"]["name"] if "toolSpec" in tool else "_"
        where = f"at 'toolConfig.tools.{number}.member.toolSpec.name' failed to satisfy constraint"
        if not _NAME.fullmatch(name):
            said = f"Member must satisfy regular expression pattern: {_NAME.pattern}"
        elif len(name) > LONGEST_NAME:
            said = f"Member must have length less than or equal to {LONGEST_NAME}"
        else:
            continue
        raise BadRequestError(f"1 validation error detected: Value '{name:.80}' {where}: {said}")


def _tool(spec: Mapping[str, Any]) -> Tool:
    return Tool(spec["name"], (spec.get("inputSchema") or {}).get("json"))


def _chosen(tools: list[Tool], choice: Any) -> tuple[list[Tool], bool]:
    """Return the tools that may be called, and whether one of them must be."""
    match choice:
        case None | {"auto": _}:
            return tools, False
        case {"any": _} if tools:
            return tools, True
        case {"tool": {"name": name}} if chosen := [tool for tool in tools if tool.name == name]:
            return chosen, True
    raise BadRequestError("The toolChoice must be auto, any, or the name of a tool that toolConfig has.")


def _schema(asked: Any) -> Any:
    """Return the schema that an answer is to satisfy, None for any text."""
    form = (asked or {}).get("textFormat")
    return from_json(form["structure"]["jsonSchema"]["schema"]) if form else None


def _check_blocks(messages: Sequence[Mapping[str, Any]], *, tools: bool) -> None:
    """Refuse what Converse alone does: who speaks twice, blank texts, blocks of tools that nobody offers."""
    roles = [message["role"] for message in messages]
    if any(role == before for before, role in pairwise(roles)):
        raise BadRequestError(
            "A conversation must alternate between user and assistant roles. Make sure the conversation "
            "alternates between user and assistant roles and try again."
        )
    for number, message in enumerate(messages):
        if not message["content"]:
            raise BadRequestError(
                f"The content field in the Message object at messages.{number} is empty. Add a ContentBlock "
                "object to the content field and try again."
            )
        for at, block in enumerate(message["content"]):
            text = block.get("text")
            if isinstance(text, str) and not text.strip():
                raise BadRequestError(
                    f"The text field in the ContentBlock object at messages.{number}.content.{at} is blank. "
                    "Add text to the text field, and try again."
                )
            if not tools and ("toolUse" in block or "toolResult" in block):
                raise BadRequestError(
                    "The toolConfig field must be defined when using toolUse and toolResult content blocks."
                )


def _check_results(messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a tool's result that nothing asked for just before, and calls of tools that have none."""
    called: set[str] = set()
    for number, message in enumerate(messages):
        blocks = message["content"]
        results = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
        uses = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
        for kind, names in (("toolResult", results), ("toolUse", uses)):
            if again := twice(names):
                where = f"The {kind} blocks at messages.{number}.content"
                raise BadRequestError(f"{where} contain duplicate Ids: {', '.join(again)}")
        told = set(results)
        if told - called:
            raise BadRequestError(
                f"The number of toolResult blocks at messages.{number}.content exceeds the number of toolUse "
                "blocks of previous turn."
            )
        if called - told:
            raise BadRequestError(
                f"Expected toolResult blocks at messages.{number}.content for the following Ids: "
                f"{', '.join(sorted(called - told))}"
            )
        called = set(uses)


def converse_output(answer: ModelAnswer) -> dict[str, Any]:
    """Return an answer at once."""
    block: dict[str, Any] = {"text": answer.text}
    if answer.tool:
        block = {"toolUse": _tool_use(answer) | {"input": answer.arguments}}
    message = {"role": "assistant", "content": [block]}
    return {"output": {"message": message}, "stopReason": _end(answer), "usage": _usage(answer)}


def converse_events(answer: ModelAnswer) -> tuple[Events, Events, Events]:
    """Return the events of a stream: before the pieces, one of each piece, and after them."""
    opened: Events = [("messageStart", {"role": "assistant"})]
    if answer.tool:
        start = {"contentBlockIndex": 0, "start": {"toolUse": _tool_use(answer)}}
        opened.append(("contentBlockStart", start))
        deltas: list[dict[str, Any]] = [{"toolUse": {"input": piece}} for piece in answer.pieces]
    else:
        deltas = [{"text": piece} for piece in answer.pieces]
    pieces: Events = [("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta}) for delta in deltas]
    closed: Events = [
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": _end(answer)}),
        ("metadata", {"usage": _usage(answer), "metrics": _metrics(answer)}),
    ]
    return opened, pieces, closed


def _tool_use(answer: ModelAnswer) -> dict[str, Any]:
    return {"toolUseId": f"tooluse_{answer.call_id}", "name": answer.tool.name if answer.tool else ""}


def _end(answer: ModelAnswer) -> str:
    return _ENDS.get(answer.finish, "content_filtered")


def _usage(answer: ModelAnswer) -> dict[str, int]:
    return {
        "inputTokens": answer.input_tokens,
        "outputTokens": answer.tokens,
        "totalTokens": answer.total_tokens,
    }


def _metrics(answer: ModelAnswer) -> dict[str, int]:
    return {"latencyMs": round(answer.took_s * 1e3)}
