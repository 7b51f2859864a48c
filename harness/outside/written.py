"""How a text may be written: as it is, escaped in JSON, pages, addresses or Python, in base64 or in hex.

Each way is a part of one pattern, character by character: whoever writes one picks what is escaped, and texts
are written into texts.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from html.entities import codepoint2name
from typing import Final

DEEP: Final = 8
"""Backslashes in a row: JSON in JSON in JSON has seven before a quotation mark."""
LONGEST_CHAR: Final = 100
"""Bytes of one escaped character at most."""
ESCAPE: Final = r"(?:\\|%(?:25){0,2}5[cC])"
"""A backslash, which may itself be in an address."""
LATIN_1: Final = re.compile("[\x80-\xff]")
BYTES: Final = "surrogateescape"
SHORT: Final = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
"""What follows a backslash in JSON and Python."""
SAME_IN_ADDRESSES: Final = {"+": "-", "/": "_"}
"""What base64 has in their places where it is made for addresses."""


def written(text: str) -> Iterator[str]:
    """Yield patterns of a text, for `re`: escaped or not, in base64 as a part of more, and in hex."""
    yield "".join(map(_char, text))
    for within in in_base64(text):
        yield "".join(_char(each, SAME_IN_ADDRESSES.get(each, "")) for each in within)
    yield "".join(map(_any_case, text.encode(errors=BYTES).hex()))


def in_base64(text: str) -> Iterator[str]:
    """Yield how a text stands in base64, as a part of more, without what it shares with its neighbours."""
    content = text.encode(errors=BYTES)
    for before, first in enumerate((0, 2, 3)):
        whole = base64.b64encode(bytes(before) + content).decode()
        yield whole[first : 8 * (before + len(content)) // 6]


def longest_written(text: str) -> int:
    """Return how many bytes a text may take at most."""
    return LONGEST_CHAR * len(text.encode(errors=BYTES))


def _is_never_escaped(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char in "-._~")


def _char(char: str, other: str = "") -> str:
    """Return a pattern of one character, or another that may stand in its place."""
    if _is_never_escaped(char) and not other:
        return re.escape(char)
    ways = [way for each in (char, other) if each for way in _ways(each)]
    return f"(?:{'|'.join(ways)})"


def _ways(char: str) -> Iterator[str]:
    number, content = ord(char), char.encode(errors=BYTES)
    in_address = "".join(f"%(?:25){{0,2}}{_hex(f'{byte:02x}')}" for byte in content)
    if char == "\\":
        one = f"(?:{re.escape(char)}|{in_address})"
        yield rf"(?:{one}{one}){{1,{DEEP // 2}}}|{one}"  # the one that escapes what follows is no part of it
    else:
        yield rf"{ESCAPE}{{0,{DEEP}}}(?:{re.escape(char)}|{in_address})"
    yield "".join(rf"{ESCAPE}{{1,{DEEP}}}x{_hex(f'{byte:02x}')}" for byte in content)
    units = char.encode("utf-16-be", errors="surrogatepass").hex()
    yield "".join(rf"{ESCAPE}{{1,{DEEP}}}u{_hex(units[at : at + 4])}" for at in range(0, len(units), 4))
    if LATIN_1.fullmatch(char):
        yield rf"{ESCAPE}{{1,{DEEP}}}x{_hex(f'{number:02x}')}"
    if char in SHORT:
        yield rf"{ESCAPE}{{1,{DEEP}}}{SHORT[char]}"
    yield rf"&(?:amp;){{0,2}}#0{{0,4}}{number};"
    yield rf"&(?:amp;){{0,2}}#[xX]0{{0,4}}{_hex(f'{number:x}')};"
    if name := codepoint2name.get(number):
        yield rf"&(?:amp;){{0,2}}{name};"
    if char == " ":
        yield r"\+"


def _hex(digits: str) -> str:
    return "".join(map(_any_case, digits))


def _any_case(char: str) -> str:
    return f"[{char}{char.upper()}]" if char.isalpha() else char
