"""Where the containers of a fleet may run."""

from __future__ import annotations

from enum import StrEnum


class Where(StrEnum):
    """Where the containers of a fleet run."""

    LOCAL = "local"
    """As processes of this machine."""
    DOCKER = "docker"
    """As containers of the engine of this machine, Docker or Podman."""
