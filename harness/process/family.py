"""A process and all that it started, and they started."""

from __future__ import annotations

import psutil


def family(pid: int) -> tuple[psutil.Process, ...]:
    """Return a process and its descendants, nothing once it has ended."""
    try:
        root = psutil.Process(pid)
        return (root, *root.children(recursive=True))
    except psutil.Error:
        return ()
