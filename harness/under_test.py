"""A user's own agent, as the stages are told of it: how a container of it is started, and how it is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.contract import INVOCATIONS, PING, REQUEST_HEADER, SESSION_HEADER

PLACE = re.compile(r"\{(port|name|limit|simulator|api_key|mcp|otlp|sessions)\}")
"""What may stand in a command and in the environment, to be filled in for each container."""
FROM_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestShape:
    """How a request looks, and its answer.

    Attributes:
        path: where requests go.
        prompt_field: the key of the JSON body that holds the prompt.
        answer_field: the key of the JSON answer that holds the text; empty when any JSON will do.
        session_header, request_header: that carry the ids; an empty one is not sent.
        headers: what else is sent; `${NAME}` stands for a variable of the load's environment, so that no
            secret is in a file.
    """

    path: str = INVOCATIONS
    prompt_field: str = "prompt"
    answer_field: str = ""
    session_header: str = SESSION_HEADER
    request_header: str = REQUEST_HEADER
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentUnderTest:
    """An agent that is not ours.

    Attributes:
        name: in reports.
        argv: what starts a container, with places to fill in; empty when containers run already.
        addresses: `host:port` of the containers that run already.
        workdir: where `argv` is started.
        env: its environment, with places to fill in.
        ready: path that answers 200 once it can work.
        start_deadline_s: how long that may take.
        concurrency_limit: requests that one container works on at once.
        request: how it is asked.
        simulator_port: where the model API simulator has to listen, None for any port.
        killable: whether a container ends when its process is killed.
        own_folder: whether each container is started in a copy of `workdir`.
    """

    name: str
    argv: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    workdir: Path = Path()
    env: Mapping[str, str] = field(default_factory=dict)
    ready: str = PING
    start_deadline_s: float = 180.0
    concurrency_limit: int = 4
    request: RequestShape = field(default_factory=RequestShape)
    simulator_port: int | None = None
    killable: bool = True
    own_folder: bool = False


def fill(text: str, places: Mapping[str, str]) -> str:
    """Put the values of a container into the places of a text; other braces stay."""
    return PLACE.sub(lambda found: places[found[1]], text)


def with_environment(text: str, environ: Mapping[str, str]) -> str:
    """Put variables of the environment into a text.

    Raises:
        KeyError: one of them is not set.
    """
    return FROM_ENVIRONMENT.sub(lambda found: environ[found[1]], text)
