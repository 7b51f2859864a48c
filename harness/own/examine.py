"""Looks at an agent's file: what can be told of it before a container is started."""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from harness.outside.http import control_client
from harness.outside.secrets import is_plain
from harness.own.config import OwnAgent, places_in, secrets_of
from harness.under_test import PLACE, AgentUnderTest

Fetch = Callable[[str], int | None]
"""Returns the HTTP status at an URL, None when nobody answers."""
TIMEOUT_S = 10.0
BRACED = re.compile(r"\{(\w{1,40})\}")
PLACES = tuple(re.findall(r"\w+", PLACE.pattern))


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One thing that a run needs, and whether it is there."""

    what: str
    ok: bool
    detail: str


def examine(described: OwnAgent, agent: AgentUnderTest, fetch: Fetch) -> tuple[Requirement, ...]:
    """Look at what a file says.

    Args:
        described: the file.
        agent: what the stages would be told.
        fetch: asks containers that run already.
    """
    plain = _plain_secrets(described)
    if agent.addresses:
        return (*(_running(address, agent.ready, fetch) for address in agent.addresses), *plain)
    return (_folder(agent), _program(agent), *_misspelt(described), _port(described, agent), *plain)


def fetch_status(url: str) -> int | None:
    """Ask over HTTP."""
    try:
        with control_client(TIMEOUT_S) as client:
            return client.get(url).status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        return None


def _running(address: str, ready: str, fetch: Fetch) -> Requirement:
    url = f"http://{address}{ready}"
    status = fetch(url)
    answered = "nobody answers" if status is None else f"answers {status}"
    ok = status == httpx.codes.OK
    wrong = "" if ok or status is None else ": `ready` names a path that answers 200 once it can work"
    return Requirement(what=f"container {address}", ok=ok, detail=f"{answered} at {url}{wrong}")


def _folder(agent: AgentUnderTest) -> Requirement:
    there = agent.workdir.is_dir()
    copied = ", a copy of it for each container" if agent.own_folder else ", the same for all containers"
    detail = (
        f"{agent.workdir}{copied}" if there else f"{agent.workdir} is not a folder: correct [agent] workdir"
    )
    return Requirement(what="folder", ok=there, detail=detail)


def _program(agent: AgentUnderTest) -> Requirement:
    program = agent.argv[0]
    local = (agent.workdir / program) if "/" in program else Path(program)
    found = shutil.which(str(local)) if "/" in program else shutil.which(program)
    correct = "give [agent] command a program that is on PATH, or its path"
    if agent.image:
        correct = "it starts an image where there is no --on; --on docker and --on kubernetes do without it"
    detail = found or f"{program} is not found: {correct}"
    return Requirement(what="program", ok=found is not None, detail=detail)


def _port(described: OwnAgent, agent: AgentUnderTest) -> Requirement:
    by_command = any("port" in places_in(word) for word in agent.argv)
    detail = "by {port} in the command" if by_command else f"by the variable {described.agent.port_env}"
    return Requirement(what="port", ok=True, detail=f"told {detail}")


def _plain_secrets(described: OwnAgent) -> tuple[Requirement, ...]:
    """Return what is called a secret, and is too plain to be looked for in what is kept."""
    names = [
        name for name, value in secrets_of(described).items() if value and all(map(is_plain, value.split()))
    ]
    detail = f"{', '.join(names)}: short or plain, as what is made up is; it is not hidden in what is kept"
    return (Requirement(what="secrets", ok=True, detail=detail),) if names else ()


def _misspelt(described: OwnAgent) -> tuple[Requirement, ...]:
    """Return what looks like a place of the command or the environment, and is none."""
    agent = described.agent
    found = []
    for text in (*agent.command, *agent.env.values()):
        for word in BRACED.findall(text):
            close = difflib.get_close_matches(word, PLACES, n=1)
            if word not in PLACES and close:
                detail = f"{{{word}}} in {text!r} is none: did you mean {{{close[0]}}}?"
                found.append(Requirement(what="place", ok=False, detail=detail))
    return tuple(found)
