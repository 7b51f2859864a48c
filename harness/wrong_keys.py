"""Says what is wrong in a file that a person wrote: the key, what was given, and what may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

ErrorLocation = tuple[int | str, ...]


SECRET = {"env", "headers"}
"""Tables whose values may be secrets, and are never shown."""


def suggest(word: str, known: Iterable[str]) -> str:
    """Return a likely meant name, as the end of a sentence."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else "."


def validation_messages(error: ValidationError, source: str, whole: type[BaseModel]) -> str:
    """Return a line for each thing that is wrong in a file.

    Args:
        error: what the model said.
        source: what to call the file.
        whole: the model of the file.
    """
    lines = []
    for item in error.errors():
        location: ErrorLocation = tuple(item["loc"])
        key = _dotted(location)
        if item["type"] == "extra_forbidden":
            siblings = _keys_at(location[:-1], whole)
            hint = f"{suggest(str(location[-1]), siblings)} Known keys here: {', '.join(siblings)}."
            lines.append(f"{source}: {key}: there is no such key{hint}")
        elif item["type"] == "missing":
            lines.append(f"{source}: {key}: is missing; add it.")
        else:
            shown = isinstance(item["input"], str | int | float) and not SECRET.intersection(location)
            given = f" (given: {item['input']!r})" if shown else ""
            message = item["msg"].removeprefix("Value error, ")
            lines.append(f"{source}: {key + ': ' if key else ''}{message[:1].lower()}{message[1:]}{given}")
    return "\n".join(lines)


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
