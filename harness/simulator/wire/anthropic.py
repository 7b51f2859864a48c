"""Anthropic's Messages, and the count of their tokens."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from harness.simulator.quota import BucketLevel, QuotaVerdict
from harness.simulator.wire.anthropic_messages import delta_head, message_events, read_messages, whole_message
from harness.simulator.wire.anthropic_threads import Threads
from harness.simulator.wire.protocol import (
    BadRequestError,
    Headers,
    ModelAnswer,
    ModelRequest,
    Received,
    RetryAfterHeaders,
    WireProblem,
)
from harness.simulator.wire.reading import bearer, load


class Anthropic(RetryAfterHeaders):
    """Messages: JSON, or server-sent events with names."""

    name = "anthropic"
    provider = "anthropic"
    operation = "chat"
    stream_type = b"text/event-stream; charset=utf-8"
    tells_when = True
    path = "/v1/messages"

    def __init__(self) -> None:
        self._threads = Threads()

    def serves(self, path: str) -> bool:
        """Return whether a path is this protocol's."""
        return path == self.path

    def key(self, headers: Received) -> str:
        """Return the API key, or the bearer token."""
        return headers.get(b"x-api-key", b"").decode("latin-1") or bearer(headers)

    def parse(self, _path: str, body: bytes) -> ModelRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not valid.
        """
        record = self._threads.whole(load(body))
        if record.get("max_tokens") is None:
            raise BadRequestError("max_tokens: Field required", param="max_tokens")
        request = read_messages(record)
        if record.get("thread") is not None:
            request.extra = record
        return request

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write an answer at once."""
        self._threads.keep(answer)
        return whole_message(answer)

    def chunks(self, answer: ModelAnswer) -> list[bytes]:
        """Write a streamed answer."""
        self._threads.keep(answer)
        opened, tokens, closed = message_events(answer)
        head = b"event: content_block_delta\ndata: " + delta_head(answer)
        pieces = [head + to_json(piece) + b"}}\n\n" for piece in tokens] or [b""]
        return [b"".join(map(_event, opened)) + pieces[0], *pieces[1:], b"".join(map(_event, closed))]

    def answer_headers(self, _answer: ModelAnswer) -> Headers:
        """Say nothing of an answer that does not stand in it."""
        return []

    def error(
        self, problem: WireProblem, request_id: str, _retry_after_s: float | None = None
    ) -> tuple[Headers, bytes]:
        """Write an error."""
        body = _error(problem) | {"request_id": f"req_{request_id}"}
        return [(b"content-type", b"application/json")], to_json(body)

    def error_event(self, problem: WireProblem) -> bytes:
        """Write an error inside a stream."""
        return _event(_error(problem))

    def failed_event(self, problem: WireProblem, _answer: ModelAnswer) -> bytes:
        """Write the error: there is no other way to say it."""
        return self.error_event(problem)

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


class AnthropicCountTokens(Anthropic):
    """Tokens of a request, counted and not answered."""

    name = "anthropic-count-tokens"
    operation = "count_tokens"
    path = "/v1/messages/count_tokens"

    def parse(self, _path: str, body: bytes) -> ModelRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not valid.
        """
        return replace(read_messages(load(body)), counts=True, stream=False)

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write the count."""
        return to_json({"input_tokens": answer.input_tokens})


def _levels(what: str, level: BucketLevel, now_s: float) -> Headers:
    full_at = datetime.fromtimestamp(math.ceil(now_s + level.reset_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    levels = (("limit", int(level.limit)), ("remaining", int(level.remaining)), ("reset", full_at))
    return [(f"anthropic-ratelimit-{what}-{name}".encode(), str(value).encode()) for name, value in levels]


def _event(data: dict[str, Any]) -> bytes:
    kind: str = data["type"]
    return b"event: " + kind.encode() + b"\ndata: " + to_json(data) + b"\n\n"


def _error(problem: WireProblem) -> dict[str, Any]:
    error: dict[str, Any] = {"type": problem.type, "message": problem.message}
    if isinstance(problem.code, str):
        error["details"] = {"error_code": problem.code}
    return {"type": "error", "error": error}
