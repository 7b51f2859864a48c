"""Makes wrong inputs of right ones."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

TOKENS = (
    *(b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\r\n", b"\n", b'"', b"'", b"[" * 500, b"{" * 500),
    *(b"null", b"true", b"-1", b"0", b"1e400", b"nan", b"inf", b"1e-320", b"9" * 400, b"9" * 5000, b"0x7f"),
    *(b"[]", b"{}", b"[[", b"]]", b" = ", b"...", b"../../etc/passwd", b"<script>", b"${HOME}", b"{port}"),
    *("\u202e".encode(), "\U0001f600".encode(), b"a" * 70_000, b"2026-01-01", b"localhost", b"::1"),
)


def damaged(draw: random.Random, right: bytes) -> bytes:
    """Return some bytes with a few things done to them."""
    made = right
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        made = draw.choice(WAYS)(draw, made)
    return made


ODD: Sequence[Any] = (
    *(
        None,
        True,
        -1,
        0,
        1e300,
        1e-320,
        10**400,
        "",
        "\x00",
        "\u202e",
        "9" * 5000,
        [],
        {},
        [[]],
        {"$ref": "#"},
    ),
    *({"allOf": [{"$ref": "#"}] * 40}, ["a"] * 3000, "a" * 70_000, "#", "2026-01-01"),
)


def odd_json(draw: random.Random, right: bytes) -> bytes:
    """Return JSON in which a few values stand in the place of others, or are there once more."""
    value = json.loads(right)
    for _ in range(draw.choice((1, 1, 2, 5))):
        holders = [each for each in _within(value) if each]
        if not holders:
            break
        holder = draw.choice(holders)
        place = draw.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        inside = list(_within(value))
        holder[place] = json.loads(json.dumps(draw.choice((*ODD, *inside[:40]))))  # its own, else a ring
    return json.dumps(value).encode()


def _within(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for each in value.values() if isinstance(value, dict) else value:
            yield from _within(each)


def cut(draw: random.Random, given: bytes) -> bytes:
    """Return what is left of a file whose writer was killed."""
    return given[: draw.randint(0, len(given))]


def _leave_out(draw: random.Random, given: bytes) -> bytes:
    begin = draw.randint(0, len(given))
    return given[:begin] + given[begin + draw.randint(1, 40) :]


def _twice(draw: random.Random, given: bytes) -> bytes:
    begin = draw.randint(0, len(given))
    end = begin + draw.randint(1, 200)
    return given[:end] + given[begin:end] + given[end:]


def _flip(draw: random.Random, given: bytes) -> bytes:
    if not given:
        return given
    place = draw.randrange(len(given))
    return given[:place] + bytes([given[place] ^ 1 << draw.randrange(8)]) + given[place + 1 :]


def _put_in(draw: random.Random, given: bytes) -> bytes:
    place = draw.randint(0, len(given))
    return given[:place] + draw.choice(TOKENS) + given[place:]


def _another_word(draw: random.Random, given: bytes) -> bytes:
    """Put a token in the place of a value: what is between two signs that end one."""
    ends = [place for place, sign in enumerate(given[:20_000]) if sign in b' ,:="[]{}\n']
    if len(ends) < 2:  # there are no two
        return _put_in(draw, given)
    number = draw.randrange(len(ends) - 1)
    return given[: ends[number] + 1] + draw.choice(TOKENS) + given[ends[number + 1] :]


WAYS: Sequence[Callable[[random.Random, bytes], bytes]] = (
    *(cut, _leave_out, _twice, _flip, _put_in),
    *(_another_word, _another_word, _another_word),
)
