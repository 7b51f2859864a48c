"""OpenAI's chat completions."""

from __future__ import annotations

import math
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
    load,
    name_of_call,
    texts_of,
)

PATH = "/v1/chat/completions"
_HEAD = (
    b'{"id":"chatcmpl-%b","object":"%b","created":1700000000,"model":%b,"service_tier":"default",'
    b'"system_fingerprint":"fp_simulator"'
)
_ENDS = {Finish.STOP: "stop", Finish.LENGTH: "length", Finish.TOOL: "tool_calls"}
_MINUTE_S = 60


class OpenAI(RetryAfterHeaders):
    """Chat completions: JSON, or server-sent events that `[DONE]` ends."""

    name = "openai"
    stream_type = b"text/event-stream; charset=utf-8"

    def serves(self, path: str) -> bool:
        """Return whether a path is this protocol's."""
        return path == PATH

    def key(self, headers: Received) -> str:
        """Return the bearer token."""
        return bearer(headers)

    def parse(self, _path: str, body: bytes) -> ModelRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not valid.
        """
        record = load(body)
        try:
            messages = record["messages"]
            roles = [message["role"] for message in messages]
            texts = [[*texts_of(message.get("content"))] for message in messages]
            user_texts = [
                text for role, parts in zip(roles, texts, strict=True) if role == "user" for text in parts
            ]
            tools = [tool["function"]["name"] for tool in record.get("tools") or []]
            usage = bool((record.get("stream_options") or {}).get("include_usage"))
        except MALFORMED as error:
            raise BadRequestError(f"not a chat completion request: {error!r:.200}") from error
        if not roles:
            raise BadRequestError("messages must not be empty")
        model = checked_model(record.get("model"))
        user = len(roles) - 1
        while user >= 0 and roles[user] != "user":
            user -= 1
        return ModelRequest(
            model=model,
            stream=bool(record.get("stream")),
            wants_usage=usage,
            call_id=name_of_call(model, messages),
            texts=[text for of_message in texts for text in of_message],
            user_texts=user_texts,
            question=" ".join(texts[user]) if user >= 0 else "",
            tool_results=roles[user + 1 :].count("tool"),
            offers_tool=TOOL in tools,
            max_tokens=checked_max_tokens(record.get("max_completion_tokens", record.get("max_tokens"))),
        )

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write an answer at once."""
        tool = answer.finish is Finish.TOOL
        message: dict[str, Any] = {"role": "assistant", "content": None if tool else answer.text}
        message["refusal"] = None
        if tool:
            message["tool_calls"] = [_tool_call(answer)]
        head, usage = _head(answer, b"chat.completion"), to_json(_usage(answer))
        choice = b'{"index":0,"message":%b' % to_json(message) + _ending(_end(answer))
        return b'%b,"choices":[%b],"usage":%b}' % (head, choice, usage)

    def chunks(self, answer: ModelAnswer) -> list[bytes]:
        """Write a streamed answer; what is the same in each event is put together once."""
        head = b"data: " + _head(answer, b"chat.completion.chunk")
        if answer.wants_usage:
            head += b',"usage":null'
        begin, after = head + b',"choices":[{"index":0,"delta":', _ending(None) + b"]}\n\n"
        if answer.finish is Finish.TOOL:
            call = {"index": 0} | _tool_call(answer)
            delta = to_json({"role": "assistant", "content": None, "tool_calls": [call]})
            tokens = [begin + delta + after]
        else:
            first, *others = answer.pieces
            delta = to_json({"role": "assistant", "content": first, "refusal": None})
            before, after_text = begin + b'{"content":', b"}" + after
            tokens = [begin + delta + after, *(before + to_json(text) + after_text for text in others)]
        end = begin + b"{}" + _ending(_end(answer)) + b"]}\n\n"
        if answer.wants_usage:
            head = b"data: " + _head(answer, b"chat.completion.chunk")
            end += b'%b,"choices":[],"usage":%b}\n\n' % (head, to_json(_usage(answer)))
        return [*tokens, end + b"data: [DONE]\n\n"]

    def error(self, problem: WireProblem, _request_id: str) -> tuple[Headers, bytes]:
        """Write an error."""
        return [(b"content-type", b"application/json")], to_json(_error(problem))

    def error_event(self, problem: WireProblem) -> bytes:
        """Write an error inside a stream."""
        return b"data: " + to_json(_error(problem)) + b"\n\n"

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


def _head(answer: ModelAnswer, kind: bytes) -> bytes:
    """Return what every answer and chunk begins with, still open."""
    return _HEAD % (answer.call_id.encode(), kind, to_json(answer.model))


def _ending(finish: str | None) -> bytes:
    """Return what every choice ends with."""
    return b',"logprobs":null,"finish_reason":%b}' % to_json(finish)


def _tool_call(answer: ModelAnswer) -> dict[str, Any]:
    function = {"name": TOOL, "arguments": to_json(answer.tool_input).decode()}
    return {"id": f"call_{answer.call_id}", "type": "function", "function": function}


def _end(answer: ModelAnswer) -> str:
    return _ENDS.get(answer.finish, "content_filter")


def _usage(answer: ModelAnswer) -> dict[str, int]:
    tokens = len(answer.pieces)
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": tokens,
        "total_tokens": answer.input_tokens + tokens,
    }


def _error(problem: WireProblem) -> dict[str, Any]:
    body = {"message": problem.message, "type": problem.type, "param": None, "code": problem.code}
    return {"error": body}
