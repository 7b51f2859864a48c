"""The packages that the reference agent needs: it is one of our own, and no part of every installation."""

from __future__ import annotations

import importlib.util
from typing import Final

from harness.errors import StartError

MODULES: Final = (
    "strands",
    "openai",
    "mcp",
    "fastapi",
    "pydantic_settings",
    "opentelemetry.instrumentation.fastapi",
    "opentelemetry.sdk",
)


def lacking() -> str | None:
    """Say which of its packages are not there, and what installs them; None for none."""
    missing = [name for name in MODULES if not _importable(name)]
    return f"no {', '.join(missing)}: pip install 'agentrig[agent]'" if missing else None


def require_packages() -> None:
    """Look whether it can be started.

    Raises:
        StartError: it lacks a package.
    """
    if (said := lacking()) is not None:
        raise StartError(f"The reference agent, which is in every experiment, can't be started: {said}")


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
