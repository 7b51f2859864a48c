"""Reads a `workload.toml`."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from harness.errors import InputError
from harness.outside.text import parse_toml, read_text
from harness.records.workload import Workload


def read_workload(path: Path) -> Workload:
    """Read a workload.

    Raises:
        InputError: it can't be read, or something in it is wrong; the message names the key.
    """
    try:
        text = read_text(path, "Give a workload.toml; `agentrig calibrate` writes one.")
        return Workload.model_validate(parse_toml(text, str(path)))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {f'{key}: ' if key else ''}{said}") from error
