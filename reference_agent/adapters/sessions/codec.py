"""A turn as JSON, and back: also where a tool gave bytes, such as an image, a document, or hidden reasoning.

JSON has no bytes. They are put beside the text, each with the way to its place, so that nothing that a
model or a tool may say can be taken for them.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

TEXT, BYTES = "turn", "bytes"
Way = list[str | int]
RAW: Final = (bytes, bytearray, memoryview)


def encoded(turn: dict[str, Any]) -> str:
    """Return a turn as one line of JSON; what is neither of JSON nor bytes becomes its text."""
    try:
        return _json(turn)
    except TypeError:  # almost no turn has any: only then is it worth a walk
        found: list[tuple[Way, str]] = []
        return _json({TEXT: _without_bytes(turn, [], found), BYTES: found})


def decoded(text: str) -> dict[str, Any]:
    """Return what was encoded.

    Raises:
        ValueError, KeyError, TypeError, IndexError: it is nothing that `encoded` writes.
    """
    read: dict[str, Any] = json.loads(text)
    if read.keys() != {TEXT, BYTES}:
        return read
    turn: dict[str, Any] = read[TEXT]
    for (*way, last), value in read[BYTES]:
        place: Any = turn
        for step in way:
            place = place[step]
        place[last] = base64.b64decode(value, validate=True)
    return turn


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _without_bytes(value: Any, way: Way, found: list[tuple[Way, str]]) -> Any:
    if isinstance(value, RAW):
        found.append((way, base64.b64encode(value).decode("ascii")))
        return None
    if isinstance(value, dict):
        return {str(key): _without_bytes(item, [*way, str(key)], found) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_bytes(item, [*way, place], found) for place, item in enumerate(value)]
    if isinstance(value, set | frozenset):
        return _without_bytes(sorted(value, key=repr), way, found)
    return value if value is None or isinstance(value, str | int | float) else str(value)
