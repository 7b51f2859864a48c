"""Looks at the machine: is everything there that a run needs?"""

from __future__ import annotations

import importlib.util
import platform
import sys
from dataclasses import dataclass

from harness.errors import AgentrigError
from harness.fleet.envoy import find_envoy
from harness.machine import usable_cores

CORES = 2
AGENT_MODULES = ("strands", "openai", "mcp", "fastapi", "opentelemetry.sdk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    detail: str


def examine_machine() -> tuple[Finding, ...]:
    """Look at Python, the balancer, the reference agent's packages and the cores."""
    return (_python(), _envoy(), _agent(), _cores())


def _python() -> Finding:
    return Finding(
        what="Python", ok=sys.version_info >= (3, 11), detail=f"{platform.python_version()} (3.11 or newer)"
    )


def _envoy() -> Finding:
    try:
        return Finding(what="Envoy", ok=True, detail=str(find_envoy()))
    except AgentrigError as error:
        return Finding(what="Envoy", ok=False, detail=str(error))


def _agent() -> Finding:
    missing = [name for name in AGENT_MODULES if not _importable(name)]
    if missing:
        detail = f"no {', '.join(missing)}: pip install 'agentrig[agent]'"
        return Finding(what="reference agent", ok=False, detail=detail)
    return Finding(what="reference agent", ok=True, detail="its packages are there")


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _cores() -> Finding:
    cores = usable_cores()
    return Finding(
        what="CPU cores", ok=cores >= CORES, detail=f"{cores:g} (the catalogue is sized for {CORES})"
    )
