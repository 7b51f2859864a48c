"""Says what is wrong in a file that a person wrote: the key, what was given, and what may have been meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

ErrorLocation = tuple[int | str, ...]
_HEADER = re.compile(r"^\s*\[\[?([^\[\]]+)\]")
_KEY = re.compile(r"^\s*\"?([\w-]+)\"?\s*=(.*)$")


IN_TOML = {
    **dict.fromkeys(("list_type", "tuple_type"), "input should be a list"),
    **dict.fromkeys(("dict_type", "model_type", "mapping_type"), "input should be a table"),
}
"""What is wrong, by its type, in the words of the file, where the model's are Python's."""
SECRET = {"env", "headers"}
"""Tables whose values may be secrets, and are never shown."""


def suggest(word: str, known: Iterable[str]) -> str:
    """Return a likely meant name, as the end of a sentence."""
    close = difflib.get_close_matches(word, [*map(str, known)], n=1)
    return f"; did you mean {close[0]!r}?" if close else "."


def validation_messages(
    error: ValidationError, file: str, whole: type[BaseModel], *, text: str = "", below: str = ""
) -> str:
    """Return a line for each thing that is wrong in a file.

    Args:
        error: what the model said.
        file: what to call it.
        whole: the model of the file.
        text: of it, TOML, to name the line of each; empty to name none.
        below: the table that the model is of, where it isn't the whole file; dotted.
    """
    lines = []
    numbers = _key_lines(text)
    for item in error.errors():
        location: ErrorLocation = tuple(item["loc"])
        inside = getattr(item.get("ctx", {}).get("error"), "line", 0)
        number = _line_of((*below.split("."), *location) if below else location, numbers, inside)
        source = f"{file}:{number}" if number else file
        key = _dotted(location)
        if item["type"] == "extra_forbidden":
            siblings = _keys_at(location[:-1], whole)
            hint = f"{suggest(str(location[-1]), siblings)} Known keys here: {', '.join(siblings)}."
            lines.append(f"{source}: {key}: there is no such key{hint}")
        elif item["type"] == "missing":
            lines.append(f"{source}: {key}: is missing; add it.")
        else:
            shown = (
                isinstance(item["input"], str | int | float)
                and not inside
                and not SECRET.intersection(location)
            )
            given = f" (given: {item['input']!r})" if shown else ""
            message = _message(item["type"], item["msg"], item.get("ctx", {}))
            lines.append(f"{source}: {key + ': ' if key else ''}{message[:1].lower()}{message[1:]}{given}")
    return "\n".join(lines)


def _message(kind: str, said: str, about: Mapping[str, Any]) -> str:
    if kind == "too_long" and "actual_length" in about:
        return f"has {about['actual_length']} items, and {about['max_length']} are the most"
    return IN_TOML.get(kind, said.removeprefix("Value error, "))


def _key_lines(text: str) -> dict[str, tuple[int, int]]:
    """Return for each key of a TOML text, dotted, its line, and on which line its value begins."""
    found: dict[str, tuple[int, int]] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = header[1].replace('"', "").replace(" ", "")
            found.setdefault(table, (number, number))
        elif key := _KEY.match(line):
            value_at = number + 1 if key[2].strip() in {"'''", '"""'} else number
            found.setdefault(f"{table}.{key[1]}".removeprefix("."), (number, value_at))
    return found


def _line_of(location: ErrorLocation, numbers: Mapping[str, tuple[int, int]], inside: int) -> int | None:
    """Return the line of the innermost part of a location that a file has.

    Args:
        location: what is looked for.
        numbers: of the file's keys.
        inside: the line of a value of several lines that is meant, 0 for the key's own.
    """
    parts = [str(part) for part in location if isinstance(part, str)]
    while parts:
        if known := numbers.get(".".join(parts)):
            return known[1] + inside - 1 if inside else known[0]
        parts.pop()
    return None


def _dotted(location: Sequence[int | str]) -> str:
    parts: list[str] = []
    for part in location:
        if isinstance(part, int):
            parts[-1] += f"[{part}]"
        elif not part.startswith("[") and part != "constrained-float":
            parts.append(part)
    return ".".join(parts)


def _keys_at(location: Sequence[int | str], whole: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys that the table at `location` may have."""
    model = whole
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None and (nested := _model_in(field.annotation)) is not None:
            model = nested
    return tuple(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg)) is not None), None)
