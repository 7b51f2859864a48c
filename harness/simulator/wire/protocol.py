"""What every provider's protocol is to the rest of the simulator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from pydantic_core import from_json

from harness.simulator import draws
from harness.simulator.quota import QuotaVerdict

Headers = list[tuple[bytes, bytes]]
Received = Mapping[bytes, bytes]
"""Headers of a request; names in lower case."""

TOOL = "search"
MAX_TOKENS = 256
"""What a caller that sets no limit is taken to need."""
MOST_TOKENS = 1_000_000
LONGEST_MODEL = 256
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError)
"""What reading an invalid body raises."""


class BadRequestError(Exception):
    """The body is not a valid request of this protocol; the message says why."""


class Finish(Enum):
    """Why an answer ends."""

    STOP = "stop"
    LENGTH = "length"
    TOOL = "tool"
    FILTERED = "filtered"


@dataclass(slots=True, kw_only=True)
class ModelRequest:
    """A model call as it was asked for, whatever the protocol.

    Attributes:
        model, stream: as asked.
        wants_usage: whether a stream is to tell the usage.
        call_id: names the logical call.
        texts: of the messages, oldest first.
        user_texts: those of them that are the user's.
        question: what the user said last.
        tool_results: since the user last spoke.
        offers_tool: whether the caller offers the `search` tool.
        max_tokens: the answer may have.
    """

    model: str
    stream: bool
    wants_usage: bool = True
    call_id: str
    texts: Sequence[str]
    user_texts: Sequence[str]
    question: str
    tool_results: int
    offers_tool: bool
    max_tokens: int


@dataclass(slots=True, kw_only=True)
class ModelAnswer:
    """What the model says.

    Attributes:
        call_id, model: what it answers.
        pieces: its tokens.
        input_tokens: that it read.
        finish: why it ends; at `TOOL` it is a call of the tool in place of the pieces.
        wants_usage: whether a stream tells the usage.
        took_s: how long it takes.
    """

    call_id: str
    model: str
    pieces: Sequence[str]
    input_tokens: int
    finish: Finish = Finish.STOP
    wants_usage: bool = True
    took_s: float = 0.0

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    @property
    def tool_input(self) -> dict[str, str]:
        """What the tool is called with."""
        return {"query": f"topic {self.call_id[:6]}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WireProblem:
    """An error as one provider words it.

    Attributes:
        status: of HTTP.
        type: the provider's class of errors, such as `rate_limit_error` or `ThrottlingException`.
        message: made up; has no meaning for a program.
        code: what OpenAI tells besides.
    """

    status: int
    type: str
    message: str
    code: str | None = None


class Wire(Protocol):
    """A provider's protocol: requests in; answers, chunks, errors and headers out."""

    name: str
    """As a `Match` names it."""
    stream_type: bytes
    """Content type of a streamed answer."""

    def serves(self, path: str) -> bool:
        """Return whether a (still quoted) path is one of this protocol's."""
        ...

    def key(self, headers: Received) -> str:
        """Return the caller's key, empty without one."""
        ...

    def parse(self, path: str, body: bytes) -> ModelRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not valid.
        """
        ...

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write an answer at once."""
        ...

    def chunks(self, answer: ModelAnswer) -> list[bytes]:
        """Write a streamed answer: one chunk a token, and a last one with all that ends it."""
        ...

    def error(self, problem: WireProblem, request_id: str) -> tuple[Headers, bytes]:
        """Write an error, with the headers that are part of it."""
        ...

    def error_event(self, problem: WireProblem) -> bytes:
        """Write an error inside a stream."""
        ...

    def broken_event(self) -> bytes:
        """Write an event of a stream that no client can read."""
        ...

    def id_headers(self, request_id: str) -> Headers:
        """Name the request, as support would ask for it."""
        ...

    def retry_headers(self, seconds: float | None, *, whole: bool) -> Headers:
        """Say when to come back, in `whole` seconds only or exactly; nothing for None."""
        ...

    def quota_headers(self, verdict: QuotaVerdict, now_s: float) -> Headers:
        """Tell of the quota, with true values; `now_s` is Unix time."""
        ...


class RetryAfterHeaders:
    """A protocol whose clients read `retry-after`, in seconds, and `retry-after-ms`."""

    def retry_headers(self, seconds: float | None, *, whole: bool) -> Headers:
        """Say when to come back: seconds rounded up, and the exact ms unless only `whole` are told."""
        if seconds is None:
            return []
        rounded = (b"retry-after", b"%d" % math.ceil(seconds))
        return [rounded] if whole else [rounded, (b"retry-after-ms", b"%d" % math.ceil(seconds * 1e3))]


def load(body: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BadRequestError: it is not one.
    """
    try:
        value = from_json(body)
    except MALFORMED as error:
        raise BadRequestError("the body is not JSON") from error
    if not isinstance(value, dict):
        raise BadRequestError("the body must be a JSON object")
    return value


def checked_model(model: Any) -> str:
    """Return a model's name that is fit for logs and labels.

    Raises:
        BadRequestError: it is not.
    """
    if not isinstance(model, str) or not 0 < len(model) <= LONGEST_MODEL or not model.isprintable():
        raise BadRequestError(f"model must be a printable string of 1 to {LONGEST_MODEL} characters")
    return model


def name_of_call(model: str, messages: Any) -> str:
    """Name a call by what is asked.

    Raises:
        BadRequestError: it is nested too deep to be read.
    """
    try:
        return draws.call_id(model, messages)
    except MALFORMED as error:
        raise BadRequestError("the messages are nested too deep") from error


def checked_max_tokens(value: Any) -> int:
    """Return how many tokens the answer may have, a default for None.

    Raises:
        BadRequestError: it is not a whole number within bounds.
    """
    if value is None:
        return MAX_TOKENS
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_TOKENS:
        raise BadRequestError(f"the limit of tokens must be a whole number from 1 to {MOST_TOKENS}")
    return value


def texts_of(content: Any) -> Iterator[str]:
    """Yield the texts of a message: a string, or blocks of which some have a `text`."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        yield from (block["text"] for block in content if isinstance(block.get("text"), str))


def user_texts_of(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the texts of the user's messages, oldest first."""
    return [text for each in messages if each.get("role") == "user" for text in texts_of(each.get("content"))]


def last_user_text(messages: Sequence[Mapping[str, Any]], result_key: str) -> tuple[str, int]:
    """Return what the user said last, and how many tool results came after it.

    For protocols in which a tool's result is a block of a user's message.

    Args:
        messages: with `role` and `content`.
        result_key: what tells a block that is a result: its `type`, or a key that it has.
    """
    results = 0
    for message in reversed(messages):
        content = message["content"]
        blocks = content if isinstance(content, list) else []
        results += sum(block.get("type") == result_key or result_key in block for block in blocks)
        text = " ".join(texts_of(content))
        if message["role"] == "user" and text:
            return text, results
    return "", results


def bearer(headers: Received) -> str:
    """Return the token of an `Authorization: Bearer`, empty without one."""
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
