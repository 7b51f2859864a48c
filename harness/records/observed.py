"""What the spans of a live system tell, in one vocabulary, whatever convention they are written in.

A dialect turns a span into one of these; what no dialect knows is no part of it. All of it is the word of
whoever sent the span: no journal stands against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["framework", "client"]
"""Who tells of a model call: the framework that wants an answer, or the client of the model API below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What any of them has.

    Attributes:
        error: its kind where it failed, such as `429` or `ThrottlingException`; None for a success.
    """

    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served(Told):
    """A request that a container served, or refused.

    Attributes:
        status: of HTTP; None where nothing tells.
        session: the conversation that it belongs to.
        queued_s: seconds that it waited inside the container for a slot.
        refused: whether the span says itself that no slot was free.
    """

    status: int | None = None
    session: str | None = None
    queued_s: float = 0.0
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation(Told):
    """An Agent at work on a request.

    Attributes:
        agent_id: of the Agent object.
        session: the conversation.
        waited_s: seconds until its clients were there; None where nothing tells.
    """

    agent_id: str | None = None
    session: str | None = None
    waited_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """A pause before another attempt, as the caller told of it."""

    time_ns: int
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall(Told):
    """A call of a model, its retries included.

    Attributes:
        level: who tells of it.
        provider, model: whom it asked.
        status: of HTTP, where it says so itself.
        attempts: how often it was tried, by its own count.
        backoffs: the pauses between.
        first_token_s: seconds until the first of its answer.
        tokens_in, tokens_out: as it was billed.
    """

    level: Level = "client"
    provider: str = ""
    model: str = ""
    session: str | None = None
    status: int | None = None
    attempts: int | None = None
    backoffs: tuple[Backoff, ...] = ()
    first_token_s: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt(Told):
    """An HTTP request of a client.

    Attributes:
        status: 0 when no answer came.
        resend: how many came before it for the same call; None where nothing tells.
        retry_after_s: what the answer said.
        host, path: whom it asked.
        of_model: whether its path is that of a model API.
    """

    status: int | None = None
    resend: int | None = None
    retry_after_s: float | None = None
    host: str = ""
    path: str = ""
    of_model: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall(Told):
    """A tool at work."""

    tool: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientBuild(Told):
    """A client that was built.

    Attributes:
        client: which.
        again: whether it is in place of one that was given up.
        reason: why that was.
    """

    client: str = ""
    again: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Told):
    """A session that was read from its store, or written to it."""

    saved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterAnswer(Told):
    """Work that goes on once the answer is out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop(Told):
    """A balancer or proxy that handed a request on.

    Attributes:
        status: what it answered; None where nothing tells.
    """

    status: int | None = None


Part = Served | Invocation | ModelCall | Attempt | ToolCall | ClientBuild | Stored | AfterAnswer | Hop
