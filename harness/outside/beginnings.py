"""Texts that are found in others by how they begin, however many there are; what is cut off is found, too."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from os.path import commonprefix
from typing import Final

LEAST_CHARS: Final = 16
"""What is shorter may stand in another text by chance: of a text, and of what is left of one."""
TORN: Final = re.compile(r"(\\+)(?:u[0-9a-fA-F]{0,3})?$")
HALF: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}$")
"""Where an escape of JSON is cut, or two that are one character: the rest would break the text around it."""


class Beginnings:
    """Texts, in the forms in which they may be written.

    Args:
        texts: those that are too short are left out.
        mark: stands in the place of one.

    Attributes:
        longest: of the texts, in characters.
    """

    def __init__(self, texts: Iterable[str], mark: str) -> None:
        self._sorted = sorted({text for text in texts if len(text) >= LEAST_CHARS})
        self._heads = frozenset(text[:LEAST_CHARS] for text in self._sorted)
        self._mark = mark
        first = "".join(sorted({text[0] for text in self._sorted}))
        self._first = re.compile(f"[{re.escape(first)}]" if first else "(?!)")
        self.longest = max(map(len, self._sorted), default=0)

    def hidden(self, text: str) -> str:
        """Return a text with the mark in the place of each of these."""
        return self.split(text, len(text))[0]

    def split(self, text: str, until: int) -> tuple[str, str]:
        """Return the same of those that begin before a place; and the rest of the text, as it is."""
        parts, done = [], 0
        for found in self._first.finditer(text, 0, until):
            begin = found.start()
            if begin >= done and text[begin : begin + LEAST_CHARS] in self._heads:
                parts += [text[done:begin], self._mark]
                done = begin + self._length(text[begin : begin + self.longest])
        end = max(done, until)
        return "".join([*parts, text[done:end]]), text[end:]

    def _length(self, text: str) -> int:
        """Return how much of a text's begin is one of these: its neighbours in their order share most."""
        place = bisect_left(self._sorted, text)
        near = self._sorted[max(0, place - 1) : place + 1]
        begin: str = max((commonprefix([text, each]) for each in near), key=len)  # noqa: RUF071 - no paths
        if (torn := TORN.search(begin)) and len(torn[1]) % 2:
            begin = begin[: torn.end(1) - 1]
        half = HALF.search(begin)
        return half.start() if half else len(begin)
