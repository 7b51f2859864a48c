"""JSON and TOML of others: whatever is wrong with a text, it is the kind of error that readers expect."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from harness.errors import InputError
from harness.outside.files import read_bytes

HALF: Final = re.compile(r"\\u[dD]")
HALF_BYTES: Final = re.compile(rb"\\u[dD]")
"""How halves of characters are written, and some whole ones."""
CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal takes for a command: it may clear the screen, or write over what was said."""


def shown(text: str) -> str:
    """Return a text of others as a terminal may get it: what would be a command to that as its code."""
    return CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def parse_json(text: str | bytes) -> Any:
    """Return what a text of JSON says, with `?` for half characters.

    Raises:
        ValueError: it is none, or it is nested too deeply to be read.
    """
    halves = HALF.search(text) if isinstance(text, str) else HALF_BYTES.search(text)
    try:
        value = json.loads(text)
        return without_halves(value) if halves else value
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def whole_number(value: Any) -> float | None:
    """Return a whole number of JSON; None for what is none, and for one that is larger than any figure."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def without_halves(value: Any) -> Any:
    """Return a value of JSON with `?` for half characters, which JSON may escape and no file can hold."""
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case list():
            return [without_halves(each) for each in value]
        case dict():
            return {without_halves(key): without_halves(each) for key, each in value.items()}
    return value


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """Return what a text of TOML says.

    Args:
        text: the TOML.
        source: what to call it in messages: a file name.

    Raises:
        InputError: it is none, or it is nested too deeply to be read.
    """
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also of a number with thousands of digits
        raise InputError(f"{source}: is not valid TOML: {error}") from error
    except RecursionError as error:
        raise InputError(f"{source}: is nested too deeply to be read.") from error


def read_text(file: Path, hint: str) -> str:
    """Return what a file holds.

    Args:
        file: of text.
        hint: what to do when it can't be read; ends the message.

    Raises:
        InputError: it can't be read, or is not UTF-8.
    """
    try:
        return read_bytes(file).decode()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}. {hint}") from error
    except ValueError as error:  # no UTF-8, or a NUL in the name
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise InputError(f"{file}: cannot be read: {reason}. {hint}") from error
