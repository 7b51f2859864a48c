"""Secrets that were handed in, and their removal from whatever is printed or kept.

A process-wide list, for it has to hold wherever something is written: a secret may come back in an agent's
answer, its spans or its log.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

from harness.outside.files import open_regular, write_whole

HIDDEN: Final = "[secret]"
LEAST_CHARS: Final = 8
"""What is shorter is in too many other words and numbers to be looked for."""
LEAST_LETTERS, LEAST_DIGITS = 16, 24
"""The same of what is a plain word, or a number."""
PIECE_BYTES: Final = 64 * 1024
"""Read at once; a longer line is looked through in such pieces."""
TELLING: Final = re.compile(r"key|token|secret|passw|credential|auth|private|cookie|dsn", re.IGNORECASE)
"""What the name of a variable has in it whose value is a secret."""
LEFT_IN_ADDRESSES: Final = ("", "/", "!'()*")
"""What those leave as it is who write a text into an address: nothing, as Python does, and as browsers do."""
CAPITAL_WITHIN: Final = re.compile(r"[a-z][A-Z]")


class _Secrets:
    """The list, and what looks for all that is on it."""

    def __init__(self) -> None:
        self.words: set[str] = set()
        self.text: re.Pattern[str] | None = None
        self.bytes: re.Pattern[bytes] | None = None
        self.longest = 0
        """In bytes."""

    def add(self, words: Iterable[str]) -> None:
        self.words.update(words)
        if self.words:
            by_length = sorted(self.words, key=len, reverse=True)
            pattern = "|".join(map(re.escape, by_length))
            self.text, self.bytes = re.compile(pattern), re.compile(pattern.encode(errors="surrogateescape"))
            self.longest = max(len(word.encode(errors="surrogateescape")) for word in by_length)


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
    _SECRETS.longest = 0


def are_known() -> bool:
    """Return whether there are any."""
    return bool(_SECRETS.words)


def of_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those of an environment that are secrets, by the names that they have."""
    return {name: value for name, value in variables.items() if TELLING.search(name)}


def hidden(text: str) -> str:
    """Return a text without the secrets that are known."""
    return _SECRETS.text.sub(HIDDEN, text) if _SECRETS.text else text


def hidden_bytes(content: bytes) -> bytes:
    """Return bytes without the secrets that are known."""
    return _SECRETS.bytes.sub(HIDDEN.encode(), content) if _SECRETS.bytes else content


def hidden_pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield what can be read without the secrets that are known, lines as soon as they are whole.

    Args:
        read: returns so many bytes at most, none at the end.
    """
    kept = b""
    while piece := read(PIECE_BYTES):
        kept += piece
        whole = kept.rfind(b"\n") + 1
        if whole:
            yield hidden_bytes(kept[:whole])
            kept = kept[whole:]
        if len(kept) > PIECE_BYTES + _SECRETS.longest:
            kept = hidden_bytes(kept)
            cut = max(0, len(kept) - _SECRETS.longest)  # one may have begun there
            yield kept[:cut]
            kept = kept[cut:]
    yield hidden_bytes(kept)


def hide_in(folder: Path) -> None:
    """Remove the secrets that are known from the files of a folder."""
    for file in [*folder.rglob("*")] if _SECRETS.words else ():
        if file.is_symlink() or not file.is_file():
            continue
        with suppress(OSError), open_regular(file) as opened:  # one that is not ours
            before = opened.read()
            opened.seek(0)
            after = b"".join(hidden_pieces(opened.read))
            if after != before:
                write_whole(file, after)


def _forms(secret: str) -> set[str]:
    """Return how a secret is written in a text, in JSON, in an address, on a page and by Python."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        *(quote(secret, safe=left) for left in LEFT_IN_ADDRESSES),
        quote_plus(secret),
        html.escape(secret),
        repr(secret)[1:-1],
    }
