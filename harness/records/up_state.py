"""Where a fleet that `agentrig up` holds can be found by a second terminal: one small file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from harness.outside.environment import home
from harness.outside.files import read_bytes, write_whole
from harness.outside.text import parse_json
from harness.records.setup import Container
from harness.under_test import RequestShape

SHAPE: Final = TypeAdapter(RequestShape)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpState:
    """A fleet that is up.

    Attributes:
        pid: of the process that holds it; once that is gone, so is the fleet.
        url: base URL of the service.
        simulator_url: base URL of the model API simulator, whose control API is below `/sim`.
        simulator_token: that this asks for, None on loopback.
        containers: the agents; each has `/metrics`.
        jaeger_url: address of the Jaeger page that has the traces, where there is one.
        otlp_url: base URL of what takes the callers' spans.
        traces_url: address of the fleet's own page of traces.
        request: how a user's own agent is asked, None for the reference agent, which speaks the contract.
    """

    pid: int
    url: str
    simulator_url: str
    simulator_token: str | None = None
    containers: tuple[Container, ...] = ()
    jaeger_url: str | None = None
    otlp_url: str | None = None
    traces_url: str | None = None
    request: RequestShape | None = None


def state_folder() -> Path:
    """Return where agentrig keeps what outlasts a command: below `$XDG_STATE_HOME`, or `~/.local/state`."""
    return Path(os.environ.get("XDG_STATE_HOME") or home() / ".local" / "state") / "agentrig"


def default_file() -> Path:
    """Return where the file is."""
    return state_folder() / "up.json"


def write(state: UpState, file: Path, work: Path) -> None:
    """Write the file at once, readable by this user alone.

    Args:
        state: of the fleet; it says how that is asked, secrets and prompts included.
        file: where it is looked for.
        work: the fleet's scratch folder, which goes with it however it ends. The content is there.
    """
    kept, aside = work.absolute() / file.name, file.with_name(f".{file.name}.{os.getpid()}")
    write_whole(kept, json.dumps(asdict(state)).encode())
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside.unlink(missing_ok=True)
    aside.symlink_to(kept)
    aside.replace(file)


def read(file: Path) -> UpState | None:
    """Return the fleet that is up; None when there is none, or its process is gone."""
    try:
        known = parse_json(read_bytes(file))
        containers = tuple(Container(**container) for container in known.pop("containers"))
        asked = known.pop("request", None)
        request = None if asked is None else SHAPE.validate_python(asked)
        state = UpState(**known, containers=containers, request=request)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return state if _alive(state.pid) else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
