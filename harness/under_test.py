"""A user's own agent, as the stages are told of it: how a container of it is started, and how it is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.contract import INVOCATIONS, PING, REQUEST_HEADER, SESSION_HEADER

PLACE = re.compile(r"\{(port|name|limit|simulator|api_key|mcp|otlp|sessions|store|home)\}")
"""What may stand in a command and in the environment, to be filled in for each container."""
ASKED_PLACES = ("prompt", "session", "request")
"""What may stand in a request, to be filled in for each one."""
ASKED_PLACE = re.compile(r"\{\{(\w{1,40})\}\}|\{(\w{1,40})\}")
"""A place, or a word in two pairs of braces, which is sent in one."""
FROM_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request, with places that are filled in for each one: {prompt} {session} {request}.

    Attributes:
        method: of HTTP.
        path: where it goes.
        query: is added to the path.
        body: a JSON value; None for none.
        form: in its place, the fields of a form; empty for none.
    """

    method: str = "POST"
    path: str = INVOCATIONS
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    form: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What is asked before the first turn of a session.

    Attributes:
        request: that opens the session.
        session: path in its answer to the session's id; empty when the id that it was given holds.
    """

    request: HttpRequest
    session: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestShape:
    """How a request looks, and its answer.

    Attributes:
        request: that asks a prompt.
        opening: what opens a session before it, None for nothing.
        answer: path of the text in the JSON answer, or in each event of a stream; empty when any answer does.
        error_when: rules that say which answers of a 2xx status are errors (`asking.answer`); empty for the
            usual ones.
        session_header, request_header: that carry the ids; an empty one is not sent.
        headers: what else is sent; `${NAME}` stands for a variable of the load's environment, so that no
            secret is in a file.
        stream: whether a stream of events is asked for.
        prompts: what is asked in turns; empty for made-up questions.
    """

    request: HttpRequest = field(default_factory=lambda: HttpRequest(body={"prompt": "{prompt}"}))
    opening: Opening | None = None
    answer: str = ""
    error_when: tuple[str, ...] = ()
    session_header: str = SESSION_HEADER
    request_header: str = REQUEST_HEADER
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: bool = False
    prompts: tuple[str, ...] = ()


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
        image: what containers of an engine are made of, empty for none.
        memory_mb: that each of these may have, in MiB; with more it is killed.
        cpus: that each of these may keep busy, None for as many as there are.
        killable: whether a container ends when its process is killed.
        own_folder: whether each container is started in a copy of `workdir`.
        home: its HOME, None for an empty folder: what lies in a user's own is not the agent's.
        outside: hosts beside this machine that it may ask, over HTTP.
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
    image: str = ""
    memory_mb: int = 512
    cpus: float | None = None
    killable: bool = True
    own_folder: bool = False
    home: Path | None = None
    outside: tuple[str, ...] = ()

    @property
    def names_store(self) -> bool:
        """Whether it is told of a real session store, which has to be there then."""
        return any("{store}" in text for text in (*self.argv, *self.env.values()))


def fill(text: str, places: Mapping[str, str]) -> str:
    """Put the values of a container into the places of a text; other braces stay."""
    return PLACE.sub(lambda found: places[found[1]], text)


def filled(text: str, values: Mapping[str, str]) -> str:
    """Put values into the places of a request's text.

    Raises:
        KeyError: a place has no value.
    """
    return ASKED_PLACE.sub(lambda found: values[found[2]] if found[2] else f"{{{found[1]}}}", text)


def with_environment(text: str, environ: Mapping[str, str]) -> str:
    """Put variables of the environment into a text.

    Raises:
        KeyError: one of them is not set.
    """
    return FROM_ENVIRONMENT.sub(lambda found: environ[found[1]], text)
