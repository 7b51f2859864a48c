"""Writes a commented `agentrig.toml`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from harness.asking.described import FILE
from harness.errors import InputError
from harness.outside.files import write_whole
from harness.own.detect import DetectedAgent

SCHEMA = "agentrig.schema.json"
"""Beside the file, for editors: no address on the net, and none that is of this machine alone."""
NO_ROOM = "Make room, or give a folder that you may write to."
BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,200}")


def text_of(found: DetectedAgent, name: str) -> str:
    """Return the file's text.

    Args:
        found: what was found of the agent.
        name: the agent's.
    """
    templates = Environment(  # noqa: S701 - no HTML: `toml` escapes
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    templates.filters["toml"] = _toml
    templates.filters["inline"] = _inline
    source = resources.files("harness.own").joinpath("agentrig.toml.j2").read_text("utf-8")
    return templates.from_string(source).render(found=found, name=name)


def write(folder: Path, text: str, *, force: bool) -> Path:
    """Write the file into a folder.

    Raises:
        InputError: there is one already, or the folder can't be written to.
    """
    file = folder / FILE
    if file.exists() and not force:
        raise InputError(f"{file}: is there already. Change it by hand, or write it anew with --force.")
    try:
        write_whole(file, text.encode(errors="replace"), 0o644)  # a folder's name may be no text
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}. {NO_ROOM}") from error
    return file


def write_schema(folder: Path, text: str) -> None:
    """Write the JSON Schema that the first line of the file names, for an editor.

    Raises:
        InputError: the folder can't be written to.
    """
    file = folder / SCHEMA
    try:
        write_whole(file, text.encode(), 0o644)
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}. {NO_ROOM}") from error


def _inline(value: Any) -> str:
    """Write a JSON value of tables, lists and strings in one line of TOML."""
    match value:
        case Mapping():
            return "{ " + ", ".join(f"{_key(key)} = {_inline(each)}" for key, each in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(_inline, value)) + "]"
        case _:
            return _toml(value)


def _key(name: str) -> str:
    return name if BARE_KEY.fullmatch(name) else _toml(name)


def _toml(value: Any) -> str:
    """Write a string or a list of strings: JSON's form of these is TOML's."""
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")
