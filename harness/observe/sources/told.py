"""Values of JSON that others wrote: what has another type than it should is none."""

from __future__ import annotations

from typing import Any, Final

from harness.records.seen import Attribute

HEX: Final = frozenset("0123456789abcdef")
MOST_NUMBER: Final = 2**63


def text(given: Any) -> str:
    """Return a text, an empty one for anything else."""
    return given if isinstance(given, str) else ""


def number(given: Any) -> float | int | None:
    """Return a number that an instant can be, also one that is written as a text; None for anything else."""
    if isinstance(given, str) and len(given) <= 20:  # noqa: PLR2004 - digits of 64 bits
        given = int(given) if given.isascii() and given.isdigit() else None
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    return given if 0 <= given < MOST_NUMBER else None  # whole numbers of any size; NaN is not within


def table(given: Any) -> dict[str, Any]:
    """Return a table, an empty one for anything else."""
    return given if isinstance(given, dict) else {}


def listed(given: Any) -> list[Any]:
    """Return a list, an empty one for anything else."""
    return given if isinstance(given, list) else []


def hexadecimal(given: Any, chars: int) -> str:
    """Return an id in lower-case hex, filled up with zeros; an empty text for none."""
    found = given.lower() if isinstance(given, str) and 0 < len(given) <= chars else ""
    return found.zfill(chars) if set(found) <= HEX and found.strip("0") else ""


def attribute(given: Any) -> Attribute:
    """Return a value of JSON as one of an attribute; a table as pairs."""
    if isinstance(given, str | bool | int | float) or given is None:
        return given
    if isinstance(given, list):
        return tuple(attribute(each) for each in given)
    if isinstance(given, dict):
        return tuple((str(key), attribute(value)) for key, value in given.items())
    return None
