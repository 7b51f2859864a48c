"""What Responses remember: conversations by the id of the response that ended them, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STORED_BYTES = 64 * 2**20
"""Of all conversations that are remembered; beyond, the oldest are forgotten."""


@dataclass(slots=True)
class Conversation:
    """What a response knows of all before it.

    Attributes:
        settings: of the request.
        items: of the input, with those of earlier responses first.
        size: in bytes, about.
        response: as it was answered; empty before.
    """

    settings: Mapping[str, Any]
    items: Sequence[Mapping[str, Any]]
    size: int
    response: bytes = b""


class ResponseStore:
    """The responses of one simulator."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Conversation] = OrderedDict()
        self._bytes = 0

    def get(self, response_id: Any) -> Conversation | None:
        """Return what is remembered by an id."""
        return self._kept.get(response_id) if isinstance(response_id, str) else None

    def keep(self, response_id: str, conversation: Conversation) -> None:
        """Remember a conversation, and forget the oldest where there are too many."""
        self.forget(response_id)
        self._kept[response_id] = conversation
        self._bytes += conversation.size
        while self._bytes > STORED_BYTES and self._kept:
            self.forget(next(iter(self._kept)))

    def forget(self, response_id: str) -> bool:
        """Forget a response; return whether there was one."""
        found = self._kept.pop(response_id, None)
        self._bytes -= found.size if found else 0
        return found is not None
