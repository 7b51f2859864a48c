"""Bedrock's Converse and ConverseStream."""

from __future__ import annotations

import math
import re
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from pydantic_core import to_json

from harness.simulator import draws
from harness.simulator.quota import QuotaVerdict
from harness.simulator.wire import event_stream
from harness.simulator.wire.protocol import (
    MALFORMED,
    TOOL,
    BadRequestError,
    Finish,
    Headers,
    ModelAnswer,
    ModelRequest,
    Received,
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

PATH = re.compile(r"^/model/([^/]+)/converse(-stream)?$")
CREDENTIAL = re.compile(rb"^AWS4-\S+ Credential=([^/,\s]+)/")
_ENDS = {Finish.STOP: "end_turn", Finish.LENGTH: "max_tokens", Finish.TOOL: "tool_use"}
_EVENTS = {
    name: event_stream.headers(
        {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    )
    for name in (
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    )
}


class Bedrock:
    """Converse as JSON, ConverseStream as frames of an event stream."""

    name = "bedrock"
    stream_type = b"application/vnd.amazon.eventstream"

    def serves(self, path: str) -> bool:
        """Return whether a path is this protocol's."""
        return PATH.match(path) is not None

    def key(self, headers: Received) -> str:
        """Return the access key id of the signature, or the bearer token."""
        signed = CREDENTIAL.match(headers.get(b"authorization", b""))
        return signed[1].decode("latin-1") if signed else bearer(headers)

    def parse(self, path: str, body: bytes) -> ModelRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not valid.
        """
        found = PATH.match(path)
        if found is None:
            raise BadRequestError("no such path")
        record = load(body)
        try:
            messages, system = record["messages"], record.get("system") or []
            texts = [*texts_of(system)]
            texts += [text for message in messages for text in texts_of(message["content"])]
            question, results = last_user_text(messages, "toolResult")
            tools = [tool["toolSpec"]["name"] for tool in (record.get("toolConfig") or {}).get("tools", ())]
            limit = (record.get("inferenceConfig") or {}).get("maxTokens")
        except MALFORMED as error:
            raise BadRequestError(f"not a Converse request: {error!r:.200}") from error
        if not messages:
            raise BadRequestError("A conversation must start with a user message.")
        model = checked_model(unquote(found[1]))
        return ModelRequest(
            model=model,
            stream=found[2] is not None,
            call_id=name_of_call(model, [system, messages]),
            texts=texts,
            user_texts=user_texts_of(messages),
            question=question,
            tool_results=results,
            offers_tool=TOOL in tools,
            max_tokens=checked_max_tokens(limit),
        )

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write an answer at once."""
        block: dict[str, Any] = {"text": answer.text}
        if answer.finish is Finish.TOOL:
            block = {"toolUse": _tool_use(answer) | {"input": answer.tool_input}}
        message = {"role": "assistant", "content": [block]}
        return to_json({"output": {"message": message}, "stopReason": _end(answer)} | _metadata(answer))

    def chunks(self, answer: ModelAnswer) -> list[bytes]:
        """Write a streamed answer."""
        opened = _event("messageStart", {"role": "assistant"})
        if answer.finish is Finish.TOOL:
            start = {"toolUse": _tool_use(answer)}
            opened += _event("contentBlockStart", {"contentBlockIndex": 0, "start": start})
            deltas: list[dict[str, Any]] = [{"toolUse": {"input": to_json(answer.tool_input).decode()}}]
        else:
            deltas = [{"text": piece} for piece in answer.pieces]
        tokens = [_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta}) for delta in deltas]
        closed = _event("contentBlockStop", {"contentBlockIndex": 0})
        closed += _event("messageStop", {"stopReason": _end(answer)})
        return [opened + tokens[0], *tokens[1:], closed + _event("metadata", _metadata(answer))]

    def error(self, problem: WireProblem, _request_id: str) -> tuple[Headers, bytes]:
        """Write an error; its class stands in a header."""
        headers = [(b"content-type", b"application/json"), (b"x-amzn-errortype", problem.type.encode())]
        return headers, to_json({"message": problem.message})

    def error_event(self, problem: WireProblem) -> bytes:
        """Write an error inside a stream; there, its class begins with a small letter."""
        kind = problem.type[0].lower() + problem.type[1:]
        headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
        return event_stream.frame(event_stream.headers(headers), to_json({"message": problem.message}))

    def broken_event(self) -> bytes:
        """Write a frame whose checksum is wrong."""
        return event_stream.broken(_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {}}))

    def id_headers(self, request_id: str) -> Headers:
        """Name the request, by a UUID made of its name."""
        return [(b"x-amzn-requestid", str(UUID(draws.call_id("uuid", request_id) * 2)).encode())]

    def retry_headers(self, seconds: float | None, *, whole: bool) -> Headers:
        """Say when to come back, where botocore looks for it: in ms, of `whole` seconds or exactly."""
        if seconds is None:
            return []
        delay_ms = math.ceil(seconds) * 1000 if whole else math.ceil(seconds * 1e3)
        return [(b"x-amz-retry-after", str(delay_ms).encode())]

    def quota_headers(self, _verdict: QuotaVerdict, _now_s: float) -> Headers:
        """Tell nothing of the quota, as Bedrock does."""
        return []


def _tool_use(answer: ModelAnswer) -> dict[str, Any]:
    return {"toolUseId": f"tooluse_{answer.call_id}", "name": TOOL}


def _end(answer: ModelAnswer) -> str:
    return _ENDS.get(answer.finish, "content_filtered")


def _event(name: str, payload: dict[str, Any]) -> bytes:
    return event_stream.frame(_EVENTS[name], to_json(payload))


def _metadata(answer: ModelAnswer) -> dict[str, Any]:
    tokens = len(answer.pieces)
    usage = {
        "inputTokens": answer.input_tokens,
        "outputTokens": tokens,
        "totalTokens": answer.input_tokens + tokens,
    }
    return {"usage": usage, "metrics": {"latencyMs": round(answer.took_s * 1e3)}}
