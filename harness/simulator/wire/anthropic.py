"""Anthropic's Messages."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from harness.simulator.quota import BucketLevel, QuotaVerdict
from harness.simulator.wire.protocol import (
    MALFORMED,
    TOOL,
    BadRequestError,
    Finish,
    Headers,
    ModelAnswer,
    ModelRequest,
    Received,
    RetryAfterHeaders,
    WireProblem,
    bearer,
    checked_max_tokens,
    checked_model,
    last_user_text,
    load,
    name_of_call,
    texts_of,
    user_texts_of,
)

PATH = "/v1/messages"
_ENDS = {Finish.STOP: "end_turn", Finish.LENGTH: "max_tokens", Finish.TOOL: "tool_use"}
_BLOCK_STOP: dict[str, Any] = {"type": "content_block_stop", "index": 0}


class Anthropic(RetryAfterHeaders):
    """Messages: JSON, or server-sent events with names."""

    name = "anthropic"
    stream_type = b"text/event-stream; charset=utf-8"

    def serves(self, path: str) -> bool:
        """Return whether a path is this protocol's."""
        return path == PATH

    def key(self, headers: Received) -> str:
        """Return the API key, or the bearer token."""
        return headers.get(b"x-api-key", b"").decode("latin-1") or bearer(headers)

    def parse(self, _path: str, body: bytes) -> ModelRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not valid.
        """
        record = load(body)
        try:
            messages = record["messages"]
            texts = [*texts_of(record.get("system"))]
            texts += [text for message in messages for text in texts_of(message["content"])]
            question, results = last_user_text(messages, "tool_result")
            tools = [tool["name"] for tool in record.get("tools") or []]
        except MALFORMED as error:
            raise BadRequestError(f"messages: not a Messages request: {error!r:.200}") from error
        if not messages:
            raise BadRequestError("messages: at least one message is required")
        if record.get("max_tokens") is None:
            raise BadRequestError("max_tokens: Field required")
        model = checked_model(record.get("model"))
        return ModelRequest(
            model=model,
            stream=bool(record.get("stream")),
            call_id=name_of_call(model, [record.get("system"), messages]),
            texts=texts,
            user_texts=user_texts_of(messages),
            question=question,
            tool_results=results,
            offers_tool=TOOL in tools,
            max_tokens=checked_max_tokens(record["max_tokens"]),
        )

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write an answer at once."""
        block = _tool_use(answer, answer.tool_input) if _calls_tool(answer) else _text(answer.text)
        usage = {"output_tokens": len(answer.pieces)}
        return to_json(_message(answer, usage) | {"content": [block], "stop_reason": _end(answer)})

    def chunks(self, answer: ModelAnswer) -> list[bytes]:
        """Write a streamed answer."""
        opened = _event({"type": "message_start", "message": _message(answer, {"output_tokens": 1})})
        block = _tool_use(answer, {}) if _calls_tool(answer) else _text("")
        opened += _event({"type": "content_block_start", "index": 0, "content_block": block})
        opened += _event({"type": "ping"})
        if _calls_tool(answer):
            tool_input = to_json(answer.tool_input).decode()
            tokens = [_event(_delta({"type": "input_json_delta", "partial_json": tool_input}))]
        else:
            # One event is written by the JSON encoder, and all others are cut to its pattern.
            pattern = _event(_delta({"type": "text_delta", "text": "\x00"}))
            before, _, after = pattern.partition(b'"\\u0000"')
            tokens = [before + to_json(piece) + after for piece in answer.pieces]
        end = {"stop_reason": _end(answer), "stop_sequence": None}
        usage = {"output_tokens": len(answer.pieces)}
        closed = _event(_BLOCK_STOP) + _event({"type": "message_delta", "delta": end, "usage": usage})
        return [opened + tokens[0], *tokens[1:], closed + _event({"type": "message_stop"})]

    def error(self, problem: WireProblem, request_id: str) -> tuple[Headers, bytes]:
        """Write an error."""
        body = _error(problem) | {"request_id": f"req_{request_id}"}
        return [(b"content-type", b"application/json")], to_json(body)

    def error_event(self, problem: WireProblem) -> bytes:
        """Write an error inside a stream."""
        return _event(_error(problem))

    def broken_event(self) -> bytes:
        """Write an event whose JSON breaks off."""
        return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delt\n\n'

    def id_headers(self, request_id: str) -> Headers:
        """Name the request."""
        return [(b"request-id", f"req_{request_id}".encode())]

    def quota_headers(self, verdict: QuotaVerdict, now_s: float) -> Headers:
        """Tell of the quota."""
        levels = _levels("requests", verdict.requests, now_s)
        return levels + _levels("tokens", verdict.tokens, now_s) if verdict.tokens else levels


def _levels(what: str, level: BucketLevel, now_s: float) -> Headers:
    full_at = datetime.fromtimestamp(math.ceil(now_s + level.reset_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    levels = (("limit", int(level.limit)), ("remaining", int(level.remaining)), ("reset", full_at))
    return [(f"anthropic-ratelimit-{what}-{name}".encode(), str(value).encode()) for name, value in levels]


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


def _calls_tool(answer: ModelAnswer) -> bool:
    return answer.finish is Finish.TOOL


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _tool_use(answer: ModelAnswer, tool_input: dict[str, str]) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{answer.call_id}", "name": TOOL, "input": tool_input}


def _delta(delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def _event(data: dict[str, Any]) -> bytes:
    kind: str = data["type"]
    return b"event: " + kind.encode() + b"\ndata: " + to_json(data) + b"\n\n"


def _end(answer: ModelAnswer) -> str:
    return _ENDS.get(answer.finish, "refusal")


def _error(problem: WireProblem) -> dict[str, Any]:
    return {"type": "error", "error": {"type": problem.type, "message": problem.message}}
