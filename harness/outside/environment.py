"""What can be handed to a program: its words, names and values of its environment; and this user's home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator

NO_HOME: Final = Path("/nonexistent")
"""The name that systems give to the home of whoever has none."""


def home() -> Path:
    """Return this user's home; one that is not there for a user without, as in a container."""
    try:
        return Path.home()
    except RuntimeError:
        return NO_HOME


def _without_nul(text: str) -> str:
    if "\0" in text:
        msg = "no program can be given a text with a NUL character in it"
        raise ValueError(msg)
    return text


def _variable(name: str) -> str:
    if not name or "=" in name:
        msg = f"{name!r} can't name a variable: give a name without '='"
        raise ValueError(msg)
    return name


Word = Annotated[str, AfterValidator(_without_nul)]
"""An argument, or the name of a file."""
VariableName = Annotated[Word, AfterValidator(_variable)]
"""Of a variable of the environment."""
