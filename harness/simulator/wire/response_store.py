"""What Responses remember: conversations by the id of the response that ended them, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

STORED_BYTES = 64 * 2**20
"""Of all conversations that are remembered; beyond, the oldest are forgotten."""
LARGEST_BYTES = 8 * 2**20
"""Of one; a larger one is not remembered: to go on from it would take many times its size."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a response knows of all before it, and what it was; as JSON, which is as large as it looks.

    Attributes:
        items: of the input, with those of earlier responses first, and of the output.
        response: as it was answered.
    """

    items: bytes
    response: bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.items) + len(self.response)


class ResponseStore:
    """The responses of one simulator."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Remembered] = OrderedDict()
        self._bytes = 0

    def get(self, response_id: Any) -> Remembered | None:
        """Return what is remembered by an id."""
        return self._kept.get(response_id) if isinstance(response_id, str) else None

    def keep(self, response_id: str, kept: Remembered) -> None:
        """Remember a response, and forget the oldest where there are too many."""
        self.forget(response_id)
        if kept.size > LARGEST_BYTES:
            return
        self._kept[response_id] = kept
        self._bytes += kept.size
        while self._bytes > STORED_BYTES and self._kept:
            self.forget(next(iter(self._kept)))

    def forget(self, response_id: str) -> bool:
        """Forget a response; return whether there was one."""
        found = self._kept.pop(response_id, None)
        self._bytes -= found.size if found else 0
        return found is not None
