"""What a session store does, and what can go wrong with it.

A session is a list of turns, numbered from 1, and only ever appended to. A turn is written whole or
not at all, with the answer that was given for it. Two rules keep a conversation right when any
container may get any request:

- a turn is appended only after the one its writer had read as the last: of two requests of one
  session at once, the second to finish gets `ConflictError` (409 to the caller: send it again);
- a request id has one turn: a request that is sent again, after a crash or by a balancer, gets the
  answer that is already there, and adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from strands.types.content import Message


class SessionError(Exception):
    """The store can't be reached, or what it holds can't be read."""


class ConflictError(Exception):
    """Another request of the same session finished in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A session as it was read.

    Attributes:
        messages: of all turns, oldest first.
        version: number of the last turn, 0 for none.
        answer: the answer that this request id got before, None when it is new.
    """

    messages: Sequence[Message] = ()
    version: int = 0
    answer: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one request adds to its session."""

    request_id: str
    messages: Sequence[Message]
    answer: dict[str, Any]


class SessionStore(Protocol):
    """A store of sessions, shared by all containers."""

    async def load(self, session_id: str, request_id: str) -> History:
        """Read a session, empty when there is none.

        Raises:
            SessionError: it can't be read.
        """
        ...

    async def append(self, session_id: str, version: int, turn: Turn) -> None:
        """Add a turn after turn `version`.

        Raises:
            ConflictError: another turn came after `version`.
            SessionError: it can't be written.
        """
        ...

    async def ping(self) -> None:
        """Raise SessionError when the store can't be reached."""
        ...

    async def aclose(self) -> None:
        """Let go of it."""
        ...
