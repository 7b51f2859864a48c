"""What of a session the model sees, and in which form it is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from strands import Agent
from strands.agent.conversation_manager import ConversationManager
from strands.hooks import HookRegistry, MessageAddedEvent
from strands.types.content import Message
from typing_extensions import override

from reference_agent.adapters.sessions.codec import encoded
from reference_agent.adapters.sessions.protocol import (
    MAX_TURN_BYTES,
    AnswerTooLargeError,
    TurnTooLargeError,
)

T = TypeVar("T")
BESIDE_MESSAGES_BYTES: Final = 1024
"""Of a turn as it is kept: ids, a hash, and names."""


class BoundedTurn:
    """Counts what a turn has, and raises as soon as it can't be kept: before a model is paid for more of it.

    Args:
        registry: of the Agent.
    """

    def __init__(self, registry: HookRegistry) -> None:
        self._bytes = BESIDE_MESSAGES_BYTES
        self._asked = False
        registry.add_callback(MessageAddedEvent, self._added)

    def _added(self, event: MessageAddedEvent) -> None:
        self._bytes += len(encoded({"messages": without_metadata([event.message])}))
        if self._bytes > MAX_TURN_BYTES:
            raise AnswerTooLargeError if self._asked else TurnTooLargeError
        self._asked = True


class DropOldestOnce(ConversationManager):
    """Forgets the older half of a session that the model's window no longer holds, and tries again once.

    Args:
        known: messages of the session, which come before those of the request.

    Attributes:
        known: those that are left.
        dropped: those that were forgotten.
    """

    def __init__(self, known: int) -> None:
        super().__init__()
        self.known = known
        self.dropped = 0

    @override
    def apply_management(self, agent: Agent, **kwargs: Any) -> None:
        """Leave the messages alone: `recent` has bounded them."""

    @override
    def reduce_context(self, agent: Agent, e: Exception | None = None, **kwargs: Any) -> None:
        """Forget the older half of the session, by its size; a second time raise `e`."""
        if e is None:
            return
        kept = newer_half(agent.messages[: self.known])
        if self.dropped or len(kept) == self.known:
            raise e
        agent.messages[: self.known] = kept
        self.dropped, self.known = self.known - len(kept), len(kept)


def newer_half(messages: Sequence[Message]) -> list[Message]:
    """Return the last messages that are at most half of all in size, beginning with a user's own words."""
    sizes = [len(json.dumps(message, default=repr)) for message in messages]
    left, first, half = sum(sizes), 0, sum(sizes) / 2
    while left > half:
        left -= sizes[first]
        first += 1
    return recent(messages[first:], len(messages))


def recent(messages: Sequence[Message], most: int) -> list[Message]:
    """Return a copy of the last messages, at most `most`, that begins with a user's own words.

    Strands converts every message at each model call, on the event loop: 0.26 ms apiece. The
    bound keeps `/ping` answering while a long conversation is in work.
    """
    kept = list(messages[-most:])
    while kept and (kept[0]["role"] != "user" or any("toolResult" in part for part in kept[0]["content"])):
        kept.pop(0)
    return kept


def without_metadata(messages: Sequence[Message]) -> list[Message]:
    """Return messages without Strands' own metadata: only what the model has to see again."""
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def mended(value: T) -> T:
    """Return JSON data in which halves of surrogate pairs are joined, or replaced: no UTF-8 can carry them.

    A model that cuts its stream between two of them sends each by itself.
    """
    return _mended(value)  # type: ignore[no-any-return]  # generic - of the same shape


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return value
    if isinstance(value, Mapping):
        return {_mended(name): _mended(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_mended(each) for each in value]
    return value
