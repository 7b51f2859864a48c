"""`verdict.json`: the verdict for programs, with its schema in `verdict.schema.json`."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import InputError
from harness.outside.text import parse_json
from harness.records.outcome import RunResult
from harness.report import words

SCHEMA_VERSION = 1
"""Goes up when a reader of the old shape would go wrong; added keys do not raise it."""

SCHEMA = Path(__file__).with_name("verdict.schema.json")

_RESULT = TypeAdapter(RunResult)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of what `to_json` writes."""
    described: dict[str, Any] = json.loads(SCHEMA.read_text("utf-8"))
    return described


def to_json(result: RunResult) -> str:
    """Write a verdict as JSON. A figure that is not finite is `null`: JSON has no other word for it."""
    shape = {"schema_version": SCHEMA_VERSION, **_plain(result)}
    return words.writable(json.dumps(shape, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def from_json(text: str) -> RunResult:
    """Read back what `to_json` wrote.

    Raises:
        InputError: it is not a verdict, or one of another schema version; names the key.
    """
    try:
        shape = parse_json(text)
    except ValueError as error:
        raise InputError(
            f"verdict.json: is not JSON: {error}. Write it anew: agentrig report RUN."
        ) from error
    if not isinstance(shape, dict):
        raise InputError("verdict.json: does not hold a JSON object. Write it anew: agentrig report RUN.")
    if shape.pop("schema_version", None) != SCHEMA_VERSION:
        raise InputError(
            f"verdict.json: schema_version is not {SCHEMA_VERSION}: another version of agentrig wrote it. "
            "Write it anew: agentrig report RUN."
        )
    try:
        return _RESULT.validate_python(shape)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(
            f"verdict.json: {key}: {first['msg']}. Write it anew: agentrig report RUN."
        ) from error


def _plain(value: Any) -> Any:
    """Turn records into what `json` writes."""
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
