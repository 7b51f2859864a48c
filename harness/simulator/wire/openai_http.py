"""What all of OpenAI's protocols share: keys, errors, headers, choices of tools and forms of answers."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
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
LONGEST_NAME = 64
_NAME = re.compile(f"[a-zA-Z0-9_-]{{1,{LONGEST_NAME}}}")


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

    def answer_headers(self, _answer: ModelAnswer) -> Headers:
        """Say nothing of an answer that does not stand in it."""
        return []

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


def checked_name(name: str, where: str) -> str:
    """Return the name of a function that may be called so.

    Args:
        name: as offered.
        where: it stands in the request.

    Raises:
        BadRequestError: it has too many letters, none, or other ones.
    """
    if _NAME.fullmatch(name):
        return name
    if not name:
        said = "empty string. Expected a string with minimum length 1, but got an empty string instead."
        code = "empty_string"
    elif len(name) > LONGEST_NAME:
        said = (
            f"string too long. Expected a string with maximum length {LONGEST_NAME}, but got a string with "
            f"length {len(name)} instead."
        )
        code = "string_above_max_length"
    else:
        said = "string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        code = "invalid_value"
    raise BadRequestError(f"Invalid '{where}': {said}", param=where, code=code)


def tools_by_choice(tools: list[Tool], choice: Any, others: Collection[str] = ()) -> tuple[list[Tool], bool]:
    """Return the tools that may be called, and whether one of them must be.

    Args:
        tools: that are offered.
        choice: `none`, `auto`, `required`, or what names one of them.
        others: the types of tools that are offered and never called here, such as those that OpenAI runs.

    Raises:
        BadRequestError: the choice is none of these, or names a tool that is not offered.
    """
    one_of_others = isinstance(choice, Mapping) and choice.get("type") in others
    if choice == "none" or one_of_others or (choice == "required" and others and not tools):
        return [], False
    match choice:
        case None | "auto":
            return tools, False
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
                    checked_name(
                        told["name"], f"{where}.name" if told is asked else f"{where}.json_schema.name"
                    )
                    if told.get("strict") is True:
                        check_strict(told["schema"], f"response_format '{told['name']!s:.64}'", where)
                    return told["schema"]
                message = f"Missing required parameter: '{where}.json_schema.name' or '.schema'."
                raise BadRequestError(message, param=where)
    known = "'json_object', 'json_schema', and 'text'"
    raise BadRequestError(f"Invalid value for '{where}.type'. Supported values are: {known}.", param=where)


def check_says_json(form: Any, texts: Iterable[str], message: str, param: str) -> None:
    """Refuse to answer in any JSON where nobody asks for it in words, as the models don't end then.

    Raises:
        BadRequestError: says the message.
    """
    if form["type"] == "json_object" and not any("json" in text.lower() for text in texts):
        raise BadRequestError(message, param=param)


def check_strict(schema: Any, what: str, where: str) -> None:
    """Refuse a schema that no answer is strictly held to: objects may leave nothing open.

    Args:
        schema: of an answer, or of a tool's arguments.
        what: it is of, as the message names it.
        where: it stands in the request.

    Raises:
        BadRequestError: says which object leaves what open.
    """
    for context, each in _objects(schema, ()):
        said = f"Invalid schema for {what}: In context={context!r:.200},"
        if each.get("additionalProperties") is not False:
            message = f"{said} 'additionalProperties' is required to be supplied and to be false."
            raise BadRequestError(message, param=where, code="invalid_json_schema")
        required = each.get("required")
        needed = required if isinstance(required, list) else ()
        if missing := [name for name in each.get("properties") or () if name not in needed]:
            message = (
                f"{said} 'required' is required to be supplied and to be an array including every key in "
                f"properties. Missing '{missing[0]!s:.64}'."
            )
            raise BadRequestError(message, param=where, code="invalid_json_schema")


def _objects(schema: Any, context: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield the schemas of objects within a schema, the outer ones first, each with where it is."""
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        yield context, schema
    for key in ("properties", "$defs", "definitions"):
        if isinstance(inner := schema.get(key), dict):
            for name, each in inner.items():
                yield from _objects(each, (*context, key, name))
    yield from _objects(schema.get("items"), (*context, "items"))
    if isinstance(choices := schema.get("anyOf"), list):
        for number, each in enumerate(choices):
            yield from _objects(each, (*context, "anyOf", str(number)))
