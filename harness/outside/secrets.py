"""Secrets that were handed in, and their removal from whatever is printed or kept.

A process-wide list, for it has to hold wherever something is written: a secret may come back in an agent's
answer, its spans or its log.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from harness.outside.files import lines_of, write_whole

HIDDEN: Final = "[secret]"
LEAST_CHARS: Final = 8
"""What is shorter is in too many other words and numbers to be looked for."""
LEAST_LETTERS, LEAST_DIGITS = 16, 24
"""The same of what is a plain word, or a number."""
TELLING: Final = re.compile(r"key|token|secret|passw|credential|auth|private|cookie|dsn", re.IGNORECASE)
"""What the name of a variable has in it whose value is a secret."""
CAPITAL_WITHIN: Final = re.compile(r"[a-z][A-Z]")


class _Secrets:
    """The list, and what looks for all that is on it."""

    def __init__(self) -> None:
        self.words: set[str] = set()
        self.text: re.Pattern[str] | None = None
        self.bytes: re.Pattern[bytes] | None = None

    def add(self, words: Iterable[str]) -> None:
        self.words.update(words)
        if self.words:
            pattern = "|".join(map(re.escape, sorted(self.words, key=len, reverse=True)))
            self.text, self.bytes = re.compile(pattern), re.compile(pattern.encode(errors="surrogateescape"))


_SECRETS: Final = _Secrets()


def remember(values: Iterable[str]) -> None:
    """Add secrets; of several lines or words, each part that is not plain."""
    parts = {part for value in values for part in (value, *value.split()) if not is_plain(part)}
    _SECRETS.add(form for part in parts for form in _forms(part))


def is_plain(text: str) -> bool:
    """Return whether a text may stand in others by chance: a word such as `test`, or a number.

    It is not looked for. Hiding it would change names, paths and figures; and whoever reads `not-a-key` in an
    agent's log has learnt nothing.
    """
    digits, letters = (any(map(kind, text)) for kind in (str.isdigit, str.isalpha))
    if not letters:
        return len(text) < LEAST_DIGITS
    is_word = not digits and len(CAPITAL_WITHIN.findall(text)) <= 1
    return len(text) < (LEAST_LETTERS if is_word else LEAST_CHARS)


def forget() -> None:
    """Empty the list."""
    _SECRETS.words.clear()
    _SECRETS.text = _SECRETS.bytes = None


def of_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those of an environment that are secrets, by the names that they have."""
    return {name: value for name, value in variables.items() if TELLING.search(name)}


def hidden(text: str) -> str:
    """Return a text without the secrets that are known."""
    return _SECRETS.text.sub(HIDDEN, text) if _SECRETS.text else text


def hidden_bytes(content: bytes) -> bytes:
    """Return bytes without the secrets that are known."""
    return _SECRETS.bytes.sub(HIDDEN.encode(), content) if _SECRETS.bytes else content


def hide_in(folder: Path) -> None:
    """Remove the secrets that are known from the files of a folder, line by line."""
    for file in [*folder.rglob("*")] if _SECRETS.words else ():
        if file.is_symlink() or not file.is_file():
            continue
        with suppress(OSError):  # one that is no line of text, or is not ours
            if any(hidden_bytes(line) != line for line in lines_of(file)):
                write_whole(file, b"".join(map(hidden_bytes, lines_of(file))))


def _forms(secret: str) -> set[str]:
    """Return how a secret is written in a text, in JSON, in an address, on a page and by Python."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
        html.escape(secret),
        repr(secret)[1:-1],
    }
