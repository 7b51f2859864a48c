"""The wire of OpenAI's chat completions: requests in; answers, chunks and errors out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.simulator import answers, draws
from harness.simulator.faults.effects import Refuse
from harness.simulator.quota import Verdict

PROTOCOL = "openai"
PATH = "/v1/chat/completions"
TOOL = "search"
DONE = b"data: [DONE]\n\n"
MAX_TOKENS = 256
"""What a caller that sets no `max_tokens` is taken to need."""
CREATED = 1_700_000_000

Headers = list[tuple[bytes, bytes]]


class BadRequestError(Exception):
    """The body is no request of this protocol; the words say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A chat completion as it was asked for.

    Attributes:
        model, stream: as asked.
        usage: whether a stream is to end with a chunk of usage.
        call_id: names the logical call.
        texts: of the messages, oldest first.
        question: what the user said last.
        tool_results: since the user last spoke.
        offers_tool: whether the caller offers the `search` tool.
        max_tokens: the answer may have.
    """

    model: str
    stream: bool
    usage: bool
    call_id: str
    texts: Sequence[str]
    question: str
    tool_results: int
    offers_tool: bool
    max_tokens: int

    @property
    def tokens(self) -> int:
        """Tokens that a quota takes: the input's, and the most that the answer may have."""
        return answers.tokens_in(self.texts) + self.max_tokens


def parse(body: bytes) -> Request:
    """Read a request.

    Raises:
        BadRequestError: it is none.
    """
    try:
        asked = json.loads(body)
        messages, model = asked["messages"], asked["model"]
        roles = [message["role"] for message in messages]
        texts = [text for message in messages for text in _texts(message.get("content"))]
        tools = [tool["function"]["name"] for tool in asked.get("tools") or []]
        options = asked.get("stream_options") or {}
        most = int(asked.get("max_completion_tokens") or asked.get("max_tokens") or MAX_TOKENS)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise BadRequestError(f"not a chat completion request: {type(error).__name__}: {error}") from error
    if not isinstance(model, str) or not roles:
        raise BadRequestError("model must be a string, and messages must not be empty")
    last_user = max((n for n, role in enumerate(roles) if role == "user"), default=-1)
    return Request(
        model=model,
        stream=bool(asked.get("stream")),
        usage=bool(isinstance(options, dict) and options.get("include_usage")),
        call_id=draws.call_id(model, messages),
        texts=texts,
        question=" ".join(_texts(messages[last_user].get("content"))) if last_user >= 0 else "",
        tool_results=sum(role == "tool" for role in roles[last_user + 1 :]),
        offers_tool=TOOL in tools,
        max_tokens=min(max(most, 1), 1_000_000),
    )


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        yield from (part["text"] for part in content if isinstance(part.get("text"), str))


# --- answers ---------------------------------------------------------------------------
def completion(request: Request, pieces: Sequence[str], *, tool_call: bool) -> bytes:
    """Write a whole answer."""
    message: dict[str, Any] = {"role": "assistant", "content": None if tool_call else "".join(pieces)}
    if tool_call:
        message["tool_calls"] = [_tool_call(request)]
    body = _head(request, "chat.completion") | {
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(tool_call)}],
        "usage": _usage(request, pieces),
    }
    return _json(body)


def chunks(request: Request, pieces: Sequence[str], *, tool_call: bool) -> Iterator[bytes]:
    """Yield a streamed answer: one event a token, then the end, the usage, and `[DONE]`."""
    head = _head(request, "chat.completion.chunk")

    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + _json(head | {"choices": [choice]}) + b"\n\n"

    if tool_call:
        yield event(
            {"role": "assistant", "content": None, "tool_calls": [{"index": 0} | _tool_call(request)]}
        )
    else:
        yield event({"role": "assistant", "content": pieces[0]})
        for piece in pieces[1:]:
            yield event({"content": piece})
    yield event({}, _finish(tool_call))
    if request.usage:
        yield b"data: " + _json(head | {"choices": [], "usage": _usage(request, pieces)}) + b"\n\n"
    yield DONE


def _head(request: Request, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{request.call_id}",
        "object": kind,
        "created": CREATED,
        "model": request.model,
        "system_fingerprint": "fp_simulator",
    }


def _tool_call(request: Request) -> dict[str, Any]:
    arguments = json.dumps({"query": f"topic {request.call_id[:6]}"})
    return {
        "id": f"call_{request.call_id}",
        "type": "function",
        "function": {"name": TOOL, "arguments": arguments},
    }


def _finish(tool_call: bool) -> str:  # noqa: FBT001 - the two ends that there are
    return "tool_calls" if tool_call else "stop"


def _usage(request: Request, pieces: Sequence[str]) -> dict[str, int]:
    prompt = answers.tokens_in(request.texts)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": len(pieces),
        "total_tokens": prompt + len(pieces),
    }


# --- errors and headers ----------------------------------------------------------------
def error(effect: Refuse) -> bytes:
    """Write an error's body."""
    about = {"message": effect.message, "type": effect.type, "param": None, "code": effect.code}
    return _json({"error": about})


def retry_headers(seconds: float | None, *, whole: bool) -> Headers:
    """Say when to come back: whole seconds rounded up, and the exact ms unless only `whole` are told."""
    if seconds is None:
        return []
    rounded = (b"retry-after", str(math.ceil(seconds)).encode())
    return [rounded] if whole else [rounded, (b"retry-after-ms", str(math.ceil(seconds * 1e3)).encode())]


def quota_headers(verdict: Verdict | None) -> Headers:
    """Tell of the quota, with true values."""
    if verdict is None:
        return []
    return [
        (b"x-ratelimit-limit-requests", str(int(verdict.limit)).encode()),
        (b"x-ratelimit-remaining-requests", str(int(verdict.remaining)).encode()),
        (b"x-ratelimit-reset-requests", _reset(verdict.reset_s).encode()),
    ]


def _reset(seconds: float) -> str:
    """Write a duration as OpenAI does: `12ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1e3)}ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
