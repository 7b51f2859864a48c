"""What a session store does, and what can go wrong with it.

A session is a list of turns, numbered from 1, and only ever appended to. A turn is written whole or
not at all, with the answer that was given for it. Two rules keep a conversation right when any
container may get any request:

- a turn is appended only after the one its writer had read as the last: of two requests of one
  session at once, the second to finish gets `ConflictError` (409 to the caller: send it again);
- a request id has one turn: a request that is sent again, after a crash or by a balancer, gets the
  answer that is already there, and adds nothing. The last `ANSWERS_KEPT` answers of a session are kept
  for that, longer than the turns.

A deletion counts as a turn that has nothing in it: what was in work by then can't bring the session back, for
the turn that it had read is no longer the last. Its number is kept for `DELETED_S`, longer than any work.

A session keeps its last turns only, and is forgotten when it was not used for long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from strands.types.content import Message

from reference_agent.adapters.sessions.codec import decoded, encoded

MAX_TURN_BYTES = 1_048_576
ANSWERS_KEPT = 1000
DELETED_S = 7200
"""A deadline is an hour at most."""


class SessionError(Exception):
    """The store can't be reached, or what it holds can't be read."""


class ConflictError(Exception):
    """Another request of the same session finished in between, or the session was deleted."""


class ReusedRequestError(Exception):
    """The request id was used for another request of this session."""


class TurnTooLargeError(Exception):
    """The turn is larger than a store takes."""


class AnswerTooLargeError(Exception):
    """What the model and the tools gave makes the turn larger than a store takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A session as it was read.

    Attributes:
        messages: of the turns that are kept, oldest first.
        version: number of the last turn, 0 for none.
        answer: the answer that this request id got before, None when it is new.
        body_hash: of the request that got it, "" when there was none.
    """

    messages: Sequence[Message] = ()
    version: int = 0
    answer: dict[str, Any] | None = None
    body_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one request adds to its session.

    Attributes:
        request_id: of the request.
        messages: its own.
        answer: that its caller gets.
        body_hash: of what its caller sent.
        keeps: of the messages before it, so many still count; None for all.
    """

    request_id: str
    messages: Sequence[Message]
    answer: dict[str, Any]
    body_hash: str = ""
    keeps: int | None = None

    def encoded(self) -> tuple[str, str]:
        """Return its messages and its answer as JSON.

        Raises:
            TurnTooLargeError: they are over 1 MiB together.
        """
        messages = encoded({"messages": self.messages, "keeps": self.keeps})
        answer = encoded({"answer": self.answer, "body_hash": self.body_hash})
        size = len(messages) + len(answer)
        if size > MAX_TURN_BYTES:
            raise TurnTooLargeError(f"the turn has {size} bytes; {MAX_TURN_BYTES} are allowed")
        return messages, answer


def history_of(turns: Iterable[str], version: int, answered: str | None) -> History:
    """Return the history that a store read.

    Args:
        turns: the messages of the kept ones as `Turn.encoded` made them, oldest first.
        version: number of the last one.
        answered: the answer to the request that is asked for, likewise; None when there is none.

    Raises:
        SessionError: they can't be read.
    """
    try:
        messages: list[Message] = []
        for turn in map(decoded, turns):
            if turn["keeps"] is not None:
                messages = messages[max(0, len(messages) - turn["keeps"]) :]
            messages += turn["messages"]
        found: dict[str, Any] = {"answer": None, "body_hash": ""}
        if answered is not None:
            found = decoded(answered)
        return History(
            messages=messages, version=version, answer=found["answer"], body_hash=found["body_hash"]
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise SessionError(f"a turn in the session store can't be read: {error!r}") from error


class SessionStore(Protocol):
    """A store of sessions, shared by all containers."""

    async def load(self, session_id: str, request_id: str) -> History:
        """Read a session, empty when there is none.

        Raises:
            SessionError: it can't be read, or no turn could be written after it.
        """
        ...

    async def append(self, session_id: str, version: int, turn: Turn) -> None:
        """Add a turn after turn `version`.

        Raises:
            ConflictError: another turn, or a deletion, came after `version`.
            TurnTooLargeError: it is too large.
            SessionError: it can't be written.
        """
        ...

    async def delete(self, session_id: str) -> None:
        """Forget a session and all answers in it; one that is not there is no error.

        Its number goes on: a turn that is in work is refused.

        Raises:
            SessionError: it can't be done.
        """
        ...

    async def ping(self) -> None:
        """Raise SessionError when no turn could be written."""
        ...

    async def reconnect(self) -> None:
        """Let go of the connections: the next call makes new ones."""
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...
