"""The version of a run folder's files, and which other versions are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from harness import __version__
from harness.errors import InputError
from harness.outside.text import parse_json

FORMAT: Final = 2
"""Stands in `plan.json` and `gate.json`. It goes up when a reader of the old files would go wrong, or would
refuse them for a key that is new; their JSON Schemas (`agentrig schema`) show each change. Files that say
none are of format 1."""
OLDEST: Final = 1
"""The oldest that is read: what format 2 has beside it, it did without."""
UNSAID: Final = 1


def refuse_other_formats(text: bytes, file: Path, oldest: int = OLDEST, newest: int = FORMAT) -> None:
    """Refuse the plan of a run whose files this version doesn't read, and say which one does.

    Args:
        text: of the plan; what is wrong with it beside its format is for others to tell.
        file: what to call it.
        oldest: format that is read.
        newest: likewise.

    Raises:
        InputError: its format is older or newer.
    """
    said = _head(text)
    number = said.get("format", UNSAID)
    if not isinstance(number, int) or oldest <= number <= newest:
        return
    wrote = f"agentrig {said.get('version') or 'of an unknown version'}"
    which = f"{wrote} or a newer one" if number > newest else wrote
    raise InputError(
        f"{file}: is of format {number}, which {wrote} wrote; agentrig {__version__} reads formats {oldest} "
        f"to {newest}. Read it with {which}."
    )


def whose_it_is(text: bytes) -> str:
    """Return what to do about a plan that can't be read, as the end of a message; empty for nothing."""
    version = _head(text).get("version")
    if not isinstance(version, str) or version in {"", __version__}:
        return ""
    return f". agentrig {version} wrote it: read it with that version"


def _head(text: bytes) -> dict[str, Any]:
    try:
        said = parse_json(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
