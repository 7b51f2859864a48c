"""What all of OpenAI's protocols share: keys, errors, headers, choices of tools and forms of answers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from harness.simulator.quota import BucketLevel, QuotaVerdict
from harness.simulator.wire.protocol import (
    BadRequestError,
    Headers,
    ModelAnswer,
    ModelRequest,
    Received,
    RetryAfterHeaders,
    Tool,
    WireProblem,
)
from harness.simulator.wire.reading import bearer, load

JSON = (b"content-type", b"application/json")
_MINUTE_S = 60


class OpenAIHttp(RetryAfterHeaders, ABC):
    """OpenAI's way with keys, errors and headers; a stream's event is a line of data."""

    provider = "openai"
    operation = "chat"
    stream_type = b"text/event-stream; charset=utf-8"
    tells_when = True
    paths: tuple[str, ...] = ()

    def serves(self, path: str) -> bool:
        """Return whether a path is this protocol's."""
        return path in self.paths

    def key(self, headers: Received) -> str:
        """Return the bearer token."""
        return bearer(headers)

    def deployment(self, _path: str) -> str | None:
        """Return the model that a path names; None where the body does."""
        return None

    def parse(self, path: str, body: bytes) -> ModelRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not valid.
        """
        record = load(body)
        if (deployment := self.deployment(path)) is not None:
            record["model"] = deployment
        return self.read(record)

    @abstractmethod
    def read(self, record: dict[str, Any]) -> ModelRequest:
        """Read a request that is parsed.

        Args:
            record: the request.
            size: of its body, in bytes.

        Raises:
            BadRequestError: it is not valid.
        """

    def error(
        self, problem: WireProblem, _request_id: str, _retry_after_s: float | None = None
    ) -> tuple[Headers, bytes]:
        """Write an error."""
        return [JSON], to_json({"error": error_of(problem)})

    def error_event(self, problem: WireProblem) -> bytes:
        """Write an error inside a stream."""
        return b"data: " + to_json({"error": error_of(problem)}) + b"\n\n"

    def failed_event(self, problem: WireProblem, _answer: ModelAnswer) -> bytes:
        """Write the error: there is no other way to say it."""
        return self.error_event(problem)

    def broken_event(self) -> bytes:
        """Write an event whose JSON breaks off."""
        return b'data: {"id":"chatcmpl-broken","choices":[{"index":0,"delta":{"conte\n\n'

    def id_headers(self, request_id: str) -> Headers:
        """Name the request."""
        return [(b"x-request-id", f"req_{request_id}".encode())]

    def quota_headers(self, verdict: QuotaVerdict, _now_s: float) -> Headers:
        """Tell of the quota."""
        levels = _levels("requests", verdict.requests)
        return levels + _levels("tokens", verdict.tokens) if verdict.tokens else levels


def reset_in(seconds: float) -> str:
    """Write a duration as OpenAI does: `12ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1e3)}ms"
    if seconds < _MINUTE_S:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    minutes, rest = divmod(math.ceil(seconds), _MINUTE_S)
    return f"{minutes}m{rest}s"


def _levels(what: str, level: BucketLevel) -> Headers:
    return [
        (f"x-ratelimit-limit-{what}".encode(), str(int(level.limit)).encode()),
        (f"x-ratelimit-remaining-{what}".encode(), str(int(level.remaining)).encode()),
        (f"x-ratelimit-reset-{what}".encode(), reset_in(level.reset_s).encode()),
    ]


def error_of(problem: WireProblem) -> dict[str, Any]:
    """Return an error as it stands in a body."""
    return {
        "message": problem.message,
        "type": problem.type,
        "param": problem.param,
        "code": problem.code,
    }


def tools_by_choice(tools: list[Tool], choice: Any) -> tuple[list[Tool], bool]:
    """Return the tools that may be called, and whether one of them must be.

    Args:
        tools: that are offered.
        choice: `none`, `auto`, `required`, or what names one of them.

    Raises:
        BadRequestError: the choice is none of these, or names a tool that is not offered.
    """
    match choice:
        case None | "auto":
            return tools, False
        case "none":
            return [], False
        case "required" if tools:
            return tools, True
        case {"type": "allowed_tools"}:
            told = choice.get("allowed_tools", choice)
            names = {each.get("name") or each.get("function", {}).get("name") for each in told["tools"]}
            return [tool for tool in tools if tool.name in names], told.get("mode") == "required"
        case {"type": "function" | "custom"}:
            name = (choice.get("function") or choice.get("custom") or choice).get("name")
            if chosen := [tool for tool in tools if tool.name == name]:
                return chosen, True
            message = f"Tool choice '{name}' not found in 'tools' parameter."
            raise BadRequestError(message, param="tool_choice")
    raise BadRequestError(
        "Invalid value for 'tool_choice': expected 'none', 'auto', 'required' with tools, or a tool.",
        param="tool_choice",
    )


def schema_of_format(asked: Any, where: str) -> Any:
    """Return the schema that an answer is to satisfy, None for any text.

    Args:
        asked: `response_format` of chat completions, or `text.format` of responses.
        where: what it is called.

    Raises:
        BadRequestError: it is no known format, or lacks its schema.
    """
    if asked is None:
        return None
    if isinstance(asked, Mapping):
        match asked.get("type"):
            case "text":
                return None
            case "json_object":
                return {"type": "object"}
            case "json_schema":
                told = asked.get("json_schema", asked)
                if isinstance(told, Mapping) and isinstance(told.get("schema"), Mapping) and told.get("name"):
                    return told["schema"]
                message = f"Missing required parameter: '{where}.json_schema.name' or '.schema'."
                raise BadRequestError(message, param=where)
    known = "'json_object', 'json_schema', and 'text'"
    raise BadRequestError(f"Invalid value for '{where}.type'. Supported values are: {known}.", param=where)
