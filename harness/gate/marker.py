"""Tells the folder of a gate from that of a run, without loading what judges it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PLAN: Final = "gate.json"
"""What a gate was asked, in its folder."""


def is_gate(path: Path) -> bool:
    """Return whether a folder is one that the gate wrote."""
    try:
        return (path / PLAN).is_file()
    except (OSError, ValueError):  # the name is too long, or holds a NUL
        return False
