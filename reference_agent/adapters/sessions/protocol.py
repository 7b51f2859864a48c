"""What a session store does, and what can go wrong with it.

A session is a list of turns, numbered from 1, and only ever appended to. A turn is written whole or
not at all, with the answer that was given for it. Two rules keep a conversation right when any
container may get any request:

- a turn is appended only after the one its writer had read as the last: of two requests of one
  session at once, the second to finish gets `ConflictError` (409 to the caller: send it again);
- a request id has one turn: a request that is sent again, after a crash or by a balancer, gets the
  answer that is already there, and adds nothing.

A session keeps its last turns only, and is forgotten when it was not used for long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from strands.types.content import Message

from reference_agent.adapters.sessions.codec import decoded, encoded

MAX_TURN_BYTES = 1_048_576


class SessionError(Exception):
    """The store can't be reached, or what it holds can't be read."""


class ConflictError(Exception):
    """Another request of the same session finished in between."""


class TurnTooLargeError(Exception):
    """The turn is larger than a store takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A session as it was read.

    Attributes:
        messages: of the turns that are kept, oldest first.
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

    def encoded(self) -> str:
        """Return it as JSON.

        Raises:
            TurnTooLargeError: it is over 1 MiB.
        """
        text = encoded({"request_id": self.request_id, "messages": self.messages, "answer": self.answer})
        if len(text) > MAX_TURN_BYTES:
            raise TurnTooLargeError(f"the turn has {len(text)} bytes; {MAX_TURN_BYTES} are allowed")
        return text


def history_of(turns: Sequence[str], version: int, request_id: str) -> History:
    """Return the history that a store read.

    Args:
        turns: the kept ones as `Turn.encoded` made them, oldest first.
        version: number of the last one.
        request_id: whose answer is looked for.

    Raises:
        SessionError: they can't be read.
    """
    try:
        read = [decoded(turn) for turn in turns]
        return History(
            messages=[message for turn in read for message in turn["messages"]],
            version=version,
            answer=next((turn["answer"] for turn in read if turn["request_id"] == request_id), None),
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise SessionError(f"a turn in the session store can't be read: {error!r}") from error


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
            TurnTooLargeError: it is too large.
            SessionError: it can't be written.
        """
        ...

    async def ping(self) -> None:
        """Raise SessionError when the store can't be reached."""
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...
