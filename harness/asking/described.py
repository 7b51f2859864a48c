"""Where an agent is described: `agentrig.toml`, or `[tool.agentrig]` in a `pyproject.toml`.

All of the file is `own.config`'s. Who only sends requests needs its `[request]` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from harness.asking.request_table import RequestTable
from harness.errors import InputError
from harness.outside.text import parse_toml, read_text
from harness.under_test import RequestShape
from harness.wrong_keys import validation_messages

FILE: Final = "agentrig.toml"
PROJECT: Final = "pyproject.toml"


class _RequestAlone(BaseModel):
    """What is read of the file here; the rest is not looked at."""

    request: RequestTable = RequestTable()


def find(folder: Path) -> Path | None:
    """Return the file of a folder that describes an agent, None when there is none."""
    if (folder / FILE).is_file():
        return folder / FILE
    project = folder / PROJECT
    try:
        text = read_text(project, "Check the path.")
        return None if table(text, str(project)) is None else project
    except InputError:  # not there, or not for us to complain of
        return None


def table(text: str, source: str) -> Any:
    """Return `[tool.agentrig]` of a `pyproject.toml`, None when there is none."""
    tools = parse_toml(text, source).get("tool")
    return tools.get("agentrig") if isinstance(tools, dict) else None


def record_of(file: Path) -> tuple[Any, str, str]:
    """Read a file that describes an agent.

    Returns:
        What it says, its text, and below which key that stands in it.

    Raises:
        InputError: it can't be read.
    """
    below = "tool.agentrig" if file.name == PROJECT else ""
    text = read_text(file, "`agentrig init` writes one.")
    record = table(text, str(file)) or {} if below else parse_toml(text, str(file))
    return record, text, below


def shape_of(file: Path) -> RequestShape:
    """Return how the agent is asked that a file describes.

    Raises:
        InputError: it can't be read, or its `[request]` is wrong.
    """
    record, text, below = record_of(file)
    try:
        found = _RequestAlone.model_validate(record)
    except ValidationError as error:
        raise InputError(
            validation_messages(error, str(file), _RequestAlone, text=text, below=below)
        ) from error
    return found.request.shape(file.parent)


def shape_in_code(request: Mapping[str, Any], source: str, folder: Path) -> RequestShape:
    """Return how an agent is asked by a mapping that says what a `[request]` does.

    Args:
        request: the keys of the table.
        source: what to call it in messages.
        folder: that a file of prompts is relative to.

    Raises:
        InputError: it is wrong.
    """
    try:
        return RequestTable.model_validate(dict(request)).shape(folder)
    except ValidationError as error:
        raise InputError(validation_messages(error, source, RequestTable)) from error
