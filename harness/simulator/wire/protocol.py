"""What every provider's protocol is to the rest of the simulator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum
from typing import Any, Protocol

from pydantic_core import from_json

from harness.simulator.quota import QuotaVerdict
from harness.simulator_config import RetryAfterForm

Headers = list[tuple[bytes, bytes]]
Received = Mapping[bytes, bytes]
"""Headers of a request; names in lower case."""


class BadRequestError(Exception):
    """The body is not a valid request of this protocol; the message says why.

    Args:
        message: what is wrong, as the provider says it.
        param: the field that is wrong, where one is.
        code: in place of the usual one, for protocols that tell one.
        status: of HTTP, in place of the usual one.
        kind: the provider's class of errors, in place of the usual one.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int | None = None,
        kind: str | None = None,
    ) -> None:
        super().__init__(message)
        self.param = param
        self.code = code
        self.status = status
        self.kind = kind


class Finish(Enum):
    """Why an answer ends."""

    STOP = "stop"
    LENGTH = "length"
    STOPPED = "stopped"
    """By one of the sequences that the caller named."""
    TOOL = "tool"
    FILTERED = "filtered"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the caller offers.

    Attributes:
        name: what it is called by.
        schema: JSON schema of its arguments, None when nothing is said of them.
    """

    name: str
    schema: Any = None


@dataclass(slots=True, kw_only=True)
class ModelRequest:
    """A model call as it was asked for, whatever the protocol.

    Attributes:
        model, stream: as asked.
        call_id: names what is asked; then the logical call.
        texts: of the messages, oldest first.
        user_texts: those of them that are the user's.
        question: what the user said last.
        tool_results: since the user last spoke.
        tools: that may be called.
        must_call: whether one of them is to be called, whatever was said.
        schema: JSON schema that the answer's text is to satisfy; None for words.
        max_tokens: the answer may have; None when nothing is said.
        stops: sequences that end a text, and are not part of it.
        wants_usage: whether a stream is to tell the usage.
        counts: whether it is answered with figures and no text: tokens counted, or embeddings. It uses no
            quota of tokens for its answer, and is over with the first one.
        extra: what the protocol keeps for its answer.
    """

    model: str
    stream: bool
    call_id: str
    texts: Sequence[str]
    user_texts: Sequence[str] = ()
    question: str = ""
    tool_results: int = 0
    tools: Sequence[Tool] = ()
    must_call: bool = False
    schema: Any = None
    max_tokens: int | None = None
    stops: Sequence[str] = ()
    wants_usage: bool = True
    counts: bool = False
    extra: Any = None


@dataclass(slots=True, kw_only=True)
class ModelAnswer:
    """What the model says.

    Attributes:
        request: what it answers.
        pieces: its text, or the arguments of the tool that it calls, in the parts that a stream has.
        tokens: that it has.
        input_tokens: that it read.
        finish: why it ends.
        stop: the sequence that ended it at `STOPPED`.
        tool: that it calls at `TOOL`, in place of saying anything.
        first_s: when its first token is there, in seconds since the call arrived.
        took_s: how long it takes.
    """

    request: ModelRequest
    pieces: Sequence[str]
    tokens: int
    input_tokens: int
    finish: Finish = Finish.STOP
    stop: str | None = None
    tool: Tool | None = None
    first_s: float = 0.0
    took_s: float = 0.0

    @property
    def call_id(self) -> str:
        """Names the call that it answers."""
        return self.request.call_id

    @property
    def model(self) -> str:
        """The model that was asked."""
        return self.request.model

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)

    @property
    def arguments(self) -> Any:
        """What the tool is called with: as much of it as there is, where the answer is cut short."""
        return from_json(self.text, allow_partial=True)

    @property
    def total_tokens(self) -> int:
        """Of input and answer."""
        return self.input_tokens + self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class WireProblem:
    """An error as one provider words it.

    Attributes:
        status: of HTTP.
        type: the provider's class of errors, such as `rate_limit_error` or `ThrottlingException`.
        message: made up; has no meaning for a program.
        code: what OpenAI tells besides, and Anthropic of some; a number where a gateway tells it.
        param: the field of the request that is wrong.
        details: what Gemini tells besides.
    """

    status: int
    type: str
    message: str
    code: str | int | None = None
    param: str | None = None
    details: Sequence[Mapping[str, Any]] = ()


class Wire(Protocol):
    """A provider's protocol: requests in; answers, chunks, errors and headers out."""

    name: str
    """As the journal names it."""
    provider: str
    """As a `Match` names it."""
    operation: str
    """As OpenTelemetry names it."""
    stream_type: bytes
    """Content type of a streamed answer."""
    tells_when: bool
    """Whether the provider itself tells a throttled caller when to come back."""

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
        """Write a streamed answer: one chunk a piece, and a last one with all that ends it."""
        ...

    def answer_headers(self, answer: ModelAnswer) -> Headers:
        """Tell what the head says of an answer, whole or streamed."""
        ...

    def error(
        self, problem: WireProblem, request_id: str, retry_after_s: float | None = None
    ) -> tuple[Headers, bytes]:
        """Write an error, with the headers that are part of it."""
        ...

    def error_event(self, problem: WireProblem) -> bytes:
        """Write an error inside a stream."""
        ...

    def failed_event(self, problem: WireProblem, answer: ModelAnswer) -> bytes:
        """Write what a stream ends with that says of itself that it failed."""
        ...

    def broken_event(self) -> bytes:
        """Write an event of a stream that no client can read."""
        ...

    def id_headers(self, request_id: str) -> Headers:
        """Name the request, as support would ask for it."""
        ...

    def retry_headers(self, seconds: float | None, form: RetryAfterForm, now_s: float) -> Headers:
        """Say when to come back, nothing for None; `now_s` is Unix time."""
        ...

    def quota_headers(self, verdict: QuotaVerdict, now_s: float) -> Headers:
        """Tell of the quota, with true values; `now_s` is Unix time."""
        ...


class RetryAfterHeaders:
    """A protocol whose clients read `retry-after`, in seconds, and `retry-after-ms`."""

    def retry_headers(self, seconds: float | None, form: RetryAfterForm, now_s: float) -> Headers:
        """Say when to come back: seconds rounded up, and the exact ms unless another form is asked for."""
        if seconds is None:
            return []
        if form is RetryAfterForm.HTTP_DATE:
            return http_date(seconds, now_s)
        rounded = (b"retry-after", b"%d" % math.ceil(seconds))
        if form is RetryAfterForm.WHOLE:
            return [rounded]
        return [rounded, (b"retry-after-ms", b"%d" % math.ceil(seconds * 1e3))]


def http_date(seconds: float, now_s: float) -> Headers:
    """Say when to come back as a date, in whole seconds of Unix time."""
    return [(b"retry-after", formatdate(math.ceil(now_s + seconds), usegmt=True).encode())]
