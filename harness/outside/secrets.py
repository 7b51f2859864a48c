"""Secrets and prompts that were handed in, and their removal from whatever is printed or kept.

A process-wide list, for it has to hold wherever something is written: a secret, or a prompt, may come back in
an agent's answer, its spans or its log.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

from harness.outside.beginnings import LEAST_CHARS, Beginnings
from harness.outside.files import open_regular, write_whole

HIDDEN: Final = "[secret]"
PROMPT: Final = "[prompt]"
BYTES: Final = "surrogateescape"
"""What is no UTF-8 stays as it is."""
LEAST_SECRET: Final = 8
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
        self.clear()

    def clear(self) -> None:
        self.words: set[str] = set()
        self.text: re.Pattern[str] | None = None
        self.bytes: re.Pattern[bytes] | None = None
        self.longest = 0
        """In bytes."""
        self.asked: set[str] = set()
        self.prompts: Beginnings | None = None

    def add(self, words: Iterable[str]) -> None:
        self.words.update(words)
        if self.words:
            by_length = sorted(self.words, key=len, reverse=True)
            pattern = "|".join(map(re.escape, by_length))
            self.text, self.bytes = re.compile(pattern), re.compile(pattern.encode(errors=BYTES))
            self.longest = max(len(word.encode(errors=BYTES)) for word in by_length)

    def add_prompts(self, prompts: Iterable[str]) -> None:
        parts = {part for each in prompts for part in (each, *each.splitlines()) if len(part) >= LEAST_CHARS}
        if parts - self.asked:
            self.asked |= parts
            self.prompts = Beginnings((form for part in self.asked for form in _forms(part)), PROMPT)

    def split(self, content: bytes, kept: int) -> tuple[bytes, bytes]:
        """Return what begins before the last characters without all of these, and the rest for later."""
        if self.bytes is not None:
            content = self.bytes.sub(HIDDEN.encode(), content)
        if self.prompts is None:
            until = max(0, len(content) - kept)
            return content[:until], content[until:]
        text = content.decode(errors=BYTES)
        before, rest = self.prompts.split(text, max(0, len(text) - kept))
        return before.encode(errors=BYTES), rest.encode(errors=BYTES)


_SECRETS: Final = _Secrets()


def remember(values: Iterable[str]) -> None:
    """Add secrets; of several lines or words, each part that is not plain."""
    parts = {part for value in values for part in (value, *value.split()) if not is_plain(part)}
    _SECRETS.add(form for part in parts for form in _forms(part))


def remember_prompts(prompts: Iterable[str]) -> None:
    """Add prompts: each is found as it was sent, whole or as much as is left of its begin."""
    _SECRETS.add_prompts(prompts)


def is_plain(text: str) -> bool:
    """Return whether a text may stand in others by chance: a word such as `test`, or a number.

    It is not looked for. Hiding it would change names, paths and figures; and whoever reads `not-a-key` in an
    agent's log has learnt nothing.
    """
    digits, letters = (any(map(kind, text)) for kind in (str.isdigit, str.isalpha))
    if not letters:
        return len(text) < LEAST_DIGITS
    is_word = not digits and len(CAPITAL_WITHIN.findall(text)) <= 1
    return len(text) < (LEAST_LETTERS if is_word else LEAST_SECRET)


def forget() -> None:
    """Empty the list."""
    _SECRETS.clear()


def are_known() -> bool:
    """Return whether there are any, prompts included."""
    return bool(_SECRETS.words or _SECRETS.asked)


def of_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those of an environment that are secrets, by the names that they have."""
    return {name: value for name, value in variables.items() if TELLING.search(name)}


def hidden(text: str) -> str:
    """Return a text without the secrets and prompts that are known."""
    text = _SECRETS.text.sub(HIDDEN, text) if _SECRETS.text else text
    return _SECRETS.prompts.hidden(text) if _SECRETS.prompts else text


def hidden_bytes(content: bytes) -> bytes:
    """Return bytes without the secrets and prompts that are known."""
    return _SECRETS.split(content, 0)[0]


def hidden_pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield what can be read without the secrets and prompts that are known, lines as soon as they are whole.

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
        longest = max(_SECRETS.longest, _SECRETS.prompts.longest if _SECRETS.prompts else 0)
        if len(kept) > PIECE_BYTES + longest:
            piece, kept = _SECRETS.split(kept, longest)  # one may have begun there
            yield piece
    yield hidden_bytes(kept)


def hide_in(folder: Path) -> None:
    """Remove the secrets and prompts that are known from the files of a folder."""
    for file in [*folder.rglob("*")] if are_known() else ():
        if file.is_symlink() or not file.is_file():
            continue
        with suppress(OSError), open_regular(file) as opened:  # one that is not ours
            before = file_digest(opened, "sha256").digest()
            opened.seek(0)
            after = sha256()
            for piece in hidden_pieces(opened.read):
                after.update(piece)
            if after.digest() != before:
                opened.seek(0)
                write_whole(file, hidden_pieces(opened.read))


def _forms(secret: str) -> set[str]:
    """Return how a secret is written in a text, in JSON and its texts, in addresses, pages and Python."""
    in_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {
        secret,
        *in_json,
        *(json.dumps(form, ensure_ascii=False)[1:-1] for form in in_json),
        *(quote(secret, safe=left) for left in LEFT_IN_ADDRESSES),
        quote_plus(secret),
        html.escape(secret),
        repr(secret)[1:-1],
    }
