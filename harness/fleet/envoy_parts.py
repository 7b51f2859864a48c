"""Small parts of Envoy's configuration, as the JSON form of its protobuf has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from harness.fleet.ports import HOST

Json = dict[str, Any]

TYPES: Final = "type.googleapis.com/envoy"
AGENTS: Final = "agents"
QUEUE: Final = "gate"
"""Its name in what Envoy counts, and so on dashboards."""
CAPTURE: Final = "capture"
SLOTS: Final = "slots"
"""The listener behind the admission queue that picks a container."""
STATS: Final = "stats"
ADMIN: Final = "admin"
NEVER: Final = "0s"
"""As a timeout."""


def typed(name: str, kind: str, config: Json | None = None) -> Json:
    """Return an extension: its name, and the message that configures it."""
    return {"name": name, "typed_config": {"@type": f"{TYPES}.{kind}", **(config or {})}}


def socket_address(port: int, host: str = HOST) -> Json:
    """Return a port of the loopback address, or of another one of this machine."""
    return {"socket_address": {"address": host, "port_value": port}}


def unix_socket(path: Path) -> Json:
    """Return a socket in the file system, for this user alone."""
    return {"pipe": {"path": str(path), "mode": 0o600}}
