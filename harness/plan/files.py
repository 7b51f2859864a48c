"""Reads a `workload.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError

from harness.errors import InputError
from harness.outside.files import read_bytes
from harness.records.workload import Workload


def read_workload(path: Path) -> Workload:
    """Read a workload.

    Raises:
        InputError: it can't be read, or something in it is wrong; the message names the key.
    """
    try:
        return Workload.model_validate(tomllib.loads(read_bytes(path).decode()))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}. Give a workload.toml; `agentrig calibrate` "
            f"writes one."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not TOML: {error}. `agentrig calibrate` writes such a file.") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {f'{key}: ' if key else ''}{said}") from error
