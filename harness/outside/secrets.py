"""Secrets and prompts that were handed in, and their removal from whatever is printed or kept.

A process-wide list, for it has to hold wherever something is written: a secret, or a prompt, may come back in
an agent's answer, its spans or its log.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from harness.outside.beginnings import LEAST_CHARS, Beginnings
from harness.outside.files import open_regular, write_whole
from harness.outside.written import in_base64, longest_written, written

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
TELLING: Final = re.compile(
    r"key|token|secret|passw|credential|auth(?!or(?!i))|private|cookie|dsn", re.IGNORECASE
)
"""What the name of a variable has in it whose value is a secret; an author is none."""
USER: Final = re.compile(r"//([^/?#\s@]{1,4096})@")
"""Who asks, in an address: a name and perhaps a password, or a token alone."""
QUERY: Final = re.compile(r"\?([^\s#]{1,65536})")
OPTION: Final = re.compile(r"-{0,2}([A-Za-z][\w.-]{0,100})(?:=(.*))?", re.DOTALL)
"""A word of a command that names something: `--api-key`, `API_KEY=...`."""
LOOKED_AT_CHARS: Final = 64 * 1024
"""Of a text whose beginning is shown."""
LEFT_IN_ADDRESSES: Final = ("", "/", "!'()*")
"""What those leave as it is who write a text into an address: nothing, as Python does, and as browsers do."""
CAPITAL_WITHIN: Final = re.compile(r"[a-z][A-Z]")


class _Secrets:
    """The list, and what looks for all that is on it."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.given: set[str] = set()
        self._text: re.Pattern[str] | None = None
        self._bytes: re.Pattern[bytes] | None = None
        self.longest = 0
        """In bytes."""
        self.asked: set[str] = set()
        self.prompts: Beginnings | None = None

    def add(self, words: set[str]) -> None:
        if words - self.given:
            self.given |= words
            self._text = self._bytes = None
            self.longest = max(map(longest_written, self.given))

    @property
    def in_text(self) -> re.Pattern[str] | None:
        """What finds them in a text, None where there are none; made when it is needed first."""
        if self._text is None and self.given:
            self._text = re.compile(self._pattern())
        return self._text

    @property
    def in_bytes(self) -> re.Pattern[bytes] | None:
        """The same in bytes."""
        if self._bytes is None and self.given:
            self._bytes = re.compile(self._pattern().encode(errors=BYTES))
        return self._bytes

    def _pattern(self) -> str:
        by_length = sorted(self.given, key=len, reverse=True)
        return "|".join(form for word in by_length for form in written(word))

    def add_prompts(self, prompts: Iterable[str]) -> None:
        parts = {part for each in prompts for part in (each, *each.splitlines()) if len(part) >= LEAST_CHARS}
        if parts - self.asked:
            self.asked |= parts
            self.prompts = Beginnings((form for part in self.asked for form in _forms(part)), PROMPT)

    def split(self, content: bytes, kept: int) -> tuple[bytes, bytes]:
        """Return what begins before the last characters without all of these, and the rest for later."""
        if (pattern := self.in_bytes) is not None:
            content = pattern.sub(HIDDEN.encode(), content)
        if self.prompts is None:
            until = max(0, len(content) - kept)
            return content[:until], content[until:]
        text = content.decode(errors=BYTES)
        before, rest = self.prompts.split(text, max(0, len(text) - kept))
        return before.encode(errors=BYTES), rest.encode(errors=BYTES)


_SECRETS: Final = _Secrets()


def remember(values: Iterable[str]) -> None:
    """Add secrets; of several lines or words, what is not plain, and what addresses in them tell."""
    whole = [each for value in values for each in (value, *in_addresses(value), *_in_basic(value))]
    _SECRETS.add({part for value in whole for part in (value, *value.split()) if not is_plain(part)})


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
    return bool(_SECRETS.given or _SECRETS.asked)


def known() -> tuple[Sequence[str], Sequence[str]]:
    """Return the secrets and the prompts that are known, for a process that shall know them as well."""
    return sorted(_SECRETS.given), sorted(_SECRETS.asked)


def of_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment is a secret: by the name that it has, or within an address."""
    told = {name: value for name, value in variables.items() if TELLING.search(name)}
    return told | {
        f"{name} ({number})": found
        for name, value in variables.items()
        if name not in told
        for number, found in enumerate(in_addresses(value), start=1)
    }


def of_words(words: Sequence[str]) -> list[str]:
    """Return the secrets in the words of a command: `--api-key VALUE`, `--api-key=VALUE`, addresses."""
    found, named = [], False
    for word in words:
        option = OPTION.fullmatch(word)
        if option is not None and option[2] is not None and TELLING.search(option[1]):
            found.append(option[2])
        elif named:
            found.append(word)
        found += in_addresses(word)
        named = option is not None and option[2] is None and bool(TELLING.search(option[1]))
        named = named and word.startswith("-")
    return found


def in_addresses(text: str) -> list[str]:
    """Return the passwords of the addresses in a text, and the keys in their queries."""
    found = []
    for user in USER.findall(text):
        name, _, password = user.partition(":")
        found.append(password or name)
    for query in QUERY.findall(text):
        found += [value for name, value in parse_qsl(query) if TELLING.search(name)]
    return list(dict.fromkeys(form for each in found for form in (each, unquote(each))))


def _in_basic(value: str) -> list[str]:
    """Return the password that a header of Basic authentication holds, which an agent may tell by itself."""
    scheme, _, coded = value.partition(" ")
    if scheme.lower() != "basic":
        return []
    with suppress(ValueError):
        return [base64.b64decode(coded, validate=True).decode().partition(":")[2]]
    return []


def hidden(text: str) -> str:
    """Return a text without the secrets and prompts that are known."""
    text = pattern.sub(HIDDEN, text) if (pattern := _SECRETS.in_text) else text
    return _SECRETS.prompts.hidden(text) if _SECRETS.prompts else text


def beginning(text: str, most: int) -> str:
    """Return the first characters of a text, as it is shown: of a secret that is cut, the rest would stay."""
    at_most = LOOKED_AT_CHARS + _SECRETS.longest
    shown = hidden(text[:at_most])
    return (shown if len(text) <= at_most else shown[: len(shown) - _SECRETS.longest])[:most]


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


def _forms(prompt: str) -> set[str]:
    """Return how a prompt is written in texts, JSON and its texts, addresses, pages, Python and base64."""
    in_json = {json.dumps(prompt)[1:-1], json.dumps(prompt, ensure_ascii=False)[1:-1]}
    return {
        prompt,
        *in_json,
        *(json.dumps(form, ensure_ascii=False)[1:-1] for form in in_json),
        *(quote(prompt, safe=left) for left in LEFT_IN_ADDRESSES),
        quote_plus(prompt),
        html.escape(prompt),
        repr(prompt)[1:-1],
        *in_base64(prompt),
    }
