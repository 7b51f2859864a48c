"""Gemini's generateContent and streamGenerateContent, and the count of their tokens."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any
from urllib.parse import parse_qsl, unquote

from pydantic_core import to_json

from harness.simulator.quota import QuotaVerdict
from harness.simulator.wire.protocol import (
    BadRequestError,
    Finish,
    Headers,
    ModelAnswer,
    ModelRequest,
    Received,
    Tool,
    WireProblem,
)
from harness.simulator.wire.reading import (
    MALFORMED,
    bearer,
    check_number,
    checked_max_tokens,
    checked_model,
    checked_stops,
    load,
    name_of_call,
    texts_of,
)
from harness.simulator_config import RetryAfterForm

_PATH = (
    r"^/(?:v1|v1beta|v1beta1|v1alpha)/(?:(?:projects/[^/]+/locations/[^/]+/)?publishers/google/)?"
    r"models/([^/:]+)"
)
_CAPITAL = re.compile("[A-Z]")
LONGEST_NAME = 128
_NAME = re.compile(f"[a-zA-Z_][a-zA-Z0-9_.:-]{{0,{LONGEST_NAME - 1}}}")
MOST_STOPS = 5
_STREAM = "streamGenerateContent"
_ROLES = ("user", "model", "function", None)
_DATA, _BLANK = b"data: ", b"\r\n\r\n"
_END = b"\n]"
_ENDS = {Finish.STOP: "STOP", Finish.STOPPED: "STOP", Finish.LENGTH: "MAX_TOKENS", Finish.TOOL: "STOP"}


class Gemini:
    """Content as JSON, or as server-sent events of such, below the Gemini API's paths and Vertex AI's."""

    name = "gemini"
    provider = "gemini"
    operation = "generate_content"
    stream_type = b"text/event-stream"
    tells_when = True
    path = re.compile(_PATH + ":(generateContent|streamGenerateContent)$")

    def __init__(self, told_key: str = "") -> None:
        self._told_key = told_key

    def asked_by(self, path: str, query: bytes) -> Gemini:
        """Return what serves one call: its query may tell the key, and says whether a stream has events.

        Args:
            path: still quoted.
            query: of the call's address.
        """
        told = dict(parse_qsl(query.decode("latin-1"))) if query else {}
        key, found = told.get("key", ""), self.path.match(unquote(path))
        if found and found[2] == _STREAM and told.get("alt", told.get("$alt")) != "sse":
            return GeminiArray(key)
        return type(self)(key) if key else self

    def serves(self, path: str) -> bool:
        """Return whether a path is this protocol's."""
        return self.path.match(unquote(path)) is not None

    def key(self, headers: Received) -> str:
        """Return the API key, as a header or in the query, or the bearer token."""
        return self._told_key or headers.get(b"x-goog-api-key", b"").decode("latin-1") or bearer(headers)

    def parse(self, path: str, body: bytes) -> ModelRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not valid.
        """
        found = self.path.match(unquote(path))
        model, verb = (found[1], found[2]) if found else ("", "")
        return _read(load(body), model, stream=verb == _STREAM)

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write an answer at once."""
        return to_json(_content(answer, _parts(answer), end=True))

    def chunks(self, answer: ModelAnswer) -> list[bytes]:
        """Write a streamed answer: a tool's call comes at once, and a text's end with nothing more to say."""
        if answer.tool:
            return [
                _event(_content(answer, _parts(answer))),
                _event(_content(answer, [], end=True)),
            ]
        pattern = _event(_content(answer, [{"text": "\x00"}]))
        before, _, after = pattern.partition(b'"\\u0000"')
        pieces = [before + to_json(piece) + after for piece in answer.pieces]
        return [*pieces, _event(_content(answer, [{"text": ""}], end=True))]

    def error(
        self, problem: WireProblem, _request_id: str, retry_after_s: float | None = None
    ) -> tuple[Headers, bytes]:
        """Write an error; when to come back stands in it."""
        return [(b"content-type", b"application/json; charset=UTF-8")], to_json(
            _error(problem, retry_after_s)
        )

    def error_event(self, problem: WireProblem) -> bytes:
        """Write an error inside a stream."""
        return _event(_error(problem, None))

    def failed_event(self, problem: WireProblem, _answer: ModelAnswer) -> bytes:
        """Write the error: there is no other way to say it."""
        return self.error_event(problem)

    def broken_event(self) -> bytes:
        """Write an event whose JSON breaks off."""
        return b'data: {"candidates": [{"content": {"par\r\n\r\n'

    def answer_headers(self, _answer: ModelAnswer) -> Headers:
        """Say nothing of an answer that does not stand in it."""
        return []

    def id_headers(self, _request_id: str) -> Headers:
        """Name nothing: Gemini tells an id in the answer alone."""
        return []

    def retry_headers(self, _seconds: float | None, _form: RetryAfterForm, _now_s: float) -> Headers:
        """Say nothing: it stands in the body."""
        return []

    def quota_headers(self, _verdict: QuotaVerdict, _now_s: float) -> Headers:
        """Tell nothing of the quota, as Gemini does."""
        return []


class GeminiArray(Gemini):
    """Content that is streamed to who doesn't ask for events: one array; an error stands in one, too."""

    stream_type = b"application/json; charset=UTF-8"

    def chunks(self, answer: ModelAnswer) -> list[bytes]:
        """Write a streamed answer."""
        *pieces, last = [_bare(piece) for piece in super().chunks(answer)]
        return [*pieces, last + _END]

    def error(
        self, problem: WireProblem, request_id: str, retry_after_s: float | None = None
    ) -> tuple[Headers, bytes]:
        """Write an error, which is all of the array."""
        headers, told = super().error(problem, request_id, retry_after_s)
        return headers, b"[" + told + _END

    def error_event(self, problem: WireProblem) -> bytes:
        """Write an error inside a stream, and end that."""
        return _bare(super().error_event(problem)) + _END

    def broken_event(self) -> bytes:
        """Write what is no JSON."""
        return _bare(super().broken_event())

    def framed(self, pieces: Sequence[bytes]) -> Sequence[bytes]:
        """Return the pieces of a stream as those of an array."""
        return [(b"\n,\r\n" if number else b"[") + piece for number, piece in enumerate(pieces)]


class GeminiCountTokens(Gemini):
    """Tokens of a request, counted and not answered."""

    name = "gemini-count-tokens"
    operation = "count_tokens"
    path = re.compile(_PATH + ":(countTokens)$")

    def parse(self, path: str, body: bytes) -> ModelRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not valid.
        """
        found = self.path.match(unquote(path))
        record = load(body)
        return replace(
            _read(record.get("generateContentRequest", record), found[1] if found else ""), counts=True
        )

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write the count."""
        return to_json({"totalTokens": answer.input_tokens})


def _read(record: Mapping[str, Any], model: str, *, stream: bool = False) -> ModelRequest:
    try:
        contents = record["contents"]
        roles = [content.get("role") for content in contents]
        parts = [content["parts"] for content in contents]
        system = _told(record, "systemInstruction") or {}
        texts = [text for of_content in (system.get("parts"), *parts) for text in texts_of(of_content)]
        texts += [
            to_json(part["functionResponse"].get("response")).decode()
            for of_content in parts
            for part in of_content
            if "functionResponse" in part
        ]
        _check(roles, parts)
        users = [
            number for number, each in enumerate(parts) if roles[number] != "model" and [*texts_of(each)]
        ]
        since = parts[users[-1] + 1 if users else 0 :]
        config = _told(record, "generationConfig") or {}
        check_number(config, "temperature", 2)
        check_number(config, "topP", 1)
        tools, must_call = _tools(record)
        schema = _told(config, "responseSchema", "responseJsonSchema")
        if schema is None and _told(config, "responseMimeType") == "application/json":
            schema = {"type": "object"}
        limit = checked_max_tokens(_told(config, "maxOutputTokens"), "maxOutputTokens")
        stops = checked_stops(_told(config, "stopSequences"), "stopSequences", MOST_STOPS)
    except MALFORMED as error:
        raise BadRequestError(f"Invalid JSON payload received: {error!r:.200}") from error
    if not contents:
        raise BadRequestError("GenerateContentRequest.contents: contents is not specified")
    if (_told(config, "candidateCount") or 1) != 1:
        raise BadRequestError("This simulator gives one candidate: candidateCount must be 1.")
    model = checked_model(model)
    return ModelRequest(
        model=model,
        stream=stream,
        call_id=name_of_call(model, [system, contents]),
        texts=texts,
        user_texts=[text for number in users for text in texts_of(parts[number])],
        question=" ".join(texts_of(parts[users[-1]])) if users else "",
        tool_results=sum("functionResponse" in part for each in since for part in each),
        tools=tools,
        must_call=must_call,
        schema=schema,
        max_tokens=limit,
        stops=stops,
    )


def _told(record: Mapping[str, Any], *names: str) -> Any:
    """Return the first of some fields that is there: each may be written in either case, as clients do."""
    for name in names:
        for spelt in (name, _CAPITAL.sub(lambda letter: f"_{letter[0].lower()}", name)):
            if (value := record.get(spelt)) is not None:
                return value
    return None


def _check(roles: Sequence[Any], parts: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    """Refuse roles that there are none of, and results of tools that don't fit the calls before them.

    What a role says in a row is one turn: of a stream, clients keep each chunk.
    """
    if not all(role in _ROLES for role in roles):
        raise BadRequestError("Please use a valid role: user, model.")
    called, first = 0, True
    for _, turn in groupby(zip(roles, parts, strict=True), lambda told: told[0] == "model"):
        each = [part for _, of_content in turn for part in of_content]
        answered = sum("functionResponse" in part for part in each)
        if answered != called:
            raise BadRequestError(
                "Please ensure that the number of function response parts is equal to the number of function "
                "call parts of the function call turn."
            )
        called = sum("functionCall" in part for part in each)
        if called and first:
            raise BadRequestError(
                "Please ensure that function call turn comes immediately after a user turn or after a "
                "function response turn."
            )
        first = False


def _tools(record: Mapping[str, Any]) -> tuple[list[Tool], bool]:
    """Return the functions that may be called, and whether one of them must be."""
    tools = [
        Tool(
            _checked_name(told["name"], number, at),
            _told(told, "parametersJsonSchema", "parameters") or {"type": "object", "properties": {}},
        )
        for number, each in enumerate(record.get("tools") or ())
        for at, told in enumerate(_told(each, "functionDeclarations") or ())
    ]
    settings = _told(record, "toolConfig") or {}
    calling = _told(settings, "functionCallingConfig") or {}
    mode = calling.get("mode", "AUTO")
    names = _told(calling, "allowedFunctionNames")
    if names:
        tools = [tool for tool in tools if tool.name in names]
    if mode == "NONE":
        return [], False
    if mode == "ANY" and not tools:
        raise BadRequestError("Function calling config is set to ANY, and no function declarations match it.")
    return tools, mode == "ANY"


def _checked_name(name: str, tool: int, at: int) -> str:
    if not _NAME.fullmatch(name):
        raise BadRequestError(
            f"* GenerateContentRequest.tools[{tool}].function_declarations[{at}].name: Invalid function "
            "name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), "
            f"underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of "
            f"{LONGEST_NAME}.\n"
        )
    return name


def _parts(answer: ModelAnswer) -> list[dict[str, Any]]:
    """Return all that is said; a call of a tool that is cut short is not told at all."""
    if answer.tool is None:
        return [{"text": answer.text}]
    if answer.finish is Finish.LENGTH:
        return []
    told = {"id": f"call_{answer.call_id}", "name": answer.tool.name, "args": answer.arguments}
    return [{"functionCall": told}]


def _content(answer: ModelAnswer, parts: list[dict[str, Any]], *, end: bool = False) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    usage = {"promptTokenCount": answer.input_tokens, "totalTokenCount": answer.input_tokens}
    if end:
        candidate["finishReason"] = _ENDS.get(answer.finish, "SAFETY")
        usage = {
            "promptTokenCount": answer.input_tokens,
            "candidatesTokenCount": answer.tokens,
            "totalTokenCount": answer.total_tokens,
        }
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": answer.model,
        "responseId": answer.call_id,
    }


def _event(told: Mapping[str, Any]) -> bytes:
    return _DATA + to_json(told) + _BLANK


def _bare(event: bytes) -> bytes:
    """Return what an event tells."""
    return event.removeprefix(_DATA).removesuffix(_BLANK)


def _error(problem: WireProblem, retry_after_s: float | None) -> dict[str, Any]:
    details = [*problem.details]
    if retry_after_s is not None:  # of any status: who is not told can't obey
        delay = f"{math.ceil(retry_after_s * 1e3) / 1e3:g}s"
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})
    told: dict[str, Any] = {"code": problem.status, "message": problem.message, "status": problem.type}
    return {"error": told | ({"details": details} if details else {})}
