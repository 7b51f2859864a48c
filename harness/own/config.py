"""`agentrig.toml`, or `[tool.agentrig]` in a `pyproject.toml`: how a user's agent is started and asked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from harness.contract import PING
from harness.errors import InputError
from harness.fence import IN_IMAGES
from harness.own.request_table import PathOf, RequestTable
from harness.simulator_config import Strict
from harness.under_test import PLACE, AgentUnderTest
from harness.wrong_keys import validation_messages

FILE: Final = "agentrig.toml"
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


HostName = Annotated[str, Field(pattern=r"^[.]?[A-Za-z0-9_][A-Za-z0-9_.-]*(:[0-9]{1,5})?$")]
"""A host, as the variable NO_PROXY takes it: `.example.com` is all below it."""


class AgentTable(Strict):
    """`[agent]`: how a container is started.

    Attributes:
        name: in reports; the folder's name by default.
        command: program and arguments that start one container on this machine.
        image: in its place, a Docker image, run in the host's network.
        urls: in its place, containers that run already. The harness can't kill or restart these.
        allow_remote: whether `urls` may be on other machines. Loads are real: only where you may.
        workdir: where `command` is started, relative to this file.
        setup: program and arguments that the gate runs once in a checkout before it starts the agent: what
            builds its environment, say.
        port_env: the variable that tells the agent where to listen; `{port}` works in `command`, too.
        ready: path that answers 200 once it can work.
        start_deadline_s: how long that may take.
        concurrency_limit: requests that one container works on at once.
        simulator_port: a fixed port for the model API simulator, for `urls` that were told of it beforehand.
        env: its environment. Places to fill in: {port} {name} {limit} {simulator} {api_key} {mcp} {otlp}
            {sessions} {home}. Nothing else of yours is handed down, no key to a cloud for one.
        home: its HOME; an empty folder by default, so that it finds no key or profile of yours.
        outside: hosts that it may ask beside this machine, for tools of its own; none by default.
    """

    name: str = ""
    command: tuple[str, ...] = ()
    image: str = ""
    urls: tuple[str, ...] = ()
    allow_remote: bool = False
    workdir: str = "."
    setup: tuple[str, ...] = ()
    port_env: str = "PORT"
    ready: PathOf = PING
    start_deadline_s: Annotated[float, Field(gt=0, le=600)] = 180.0
    concurrency_limit: Annotated[int, Field(ge=1, le=1000)] = 4
    simulator_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    env: Mapping[str, str] = {}
    home: str = ""
    outside: tuple[HostName, ...] = ()

    @model_validator(mode="after")
    def _one_way_to_start(self) -> Self:
        given = [name for name in ("command", "image", "urls") if getattr(self, name)]
        if len(given) != 1:
            msg = f"give one of command, image and urls, not {' and '.join(given) or 'none of them'}"
            raise ValueError(msg)
        return self

    @field_validator("urls")
    @classmethod
    def _addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme != "http" or not parts.hostname or parts.port is None:
                msg = f"{url} is not an address such as http://127.0.0.1:8080"
                raise ValueError(msg)
        return urls

    @model_validator(mode="after")
    def _near(self) -> Self:
        far = [url for url in self.urls if urlsplit(url).hostname not in LOOPBACK]
        if far and not self.allow_remote:
            msg = f"{far[0]} is not on this machine: loads go there only with allow_remote = true"
            raise ValueError(msg)
        return self


class LimitsTable(Strict):
    """`[limits]`: what you promise.

    Attributes:
        p99_ms: of the answers under the load of `own-clients`, from when they were due.
        ttft_ms: the same of the time to the first token; None promises nothing.
        error_ratio: share of requests that may fail without cause.
        attempts: of one model call, the first included.
    """

    p99_ms: Annotated[float, Field(gt=0)] = 2000.0
    ttft_ms: Annotated[float, Field(gt=0)] | None = None
    error_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0
    attempts: Annotated[int, Field(ge=1, le=20)] = 3


class OwnAgent(Strict):
    """The whole file."""

    agent: AgentTable
    request: RequestTable = RequestTable()
    limits: LimitsTable = LimitsTable()

    def under_test(self, folder: Path) -> AgentUnderTest:
        """Return what the stages are told.

        Args:
            folder: of the file.
        """
        agent = self.agent
        argv = agent.command or (docker_run(agent) if agent.image else ())
        return AgentUnderTest(
            name=agent.name or folder.resolve().name,
            argv=argv,
            addresses=tuple(urlsplit(url).netloc for url in agent.urls),
            workdir=(folder / agent.workdir).resolve(),
            env={agent.port_env: "{port}", **agent.env},
            ready=agent.ready,
            start_deadline_s=agent.start_deadline_s,
            concurrency_limit=agent.concurrency_limit,
            request=self.request.shape(folder),
            simulator_port=agent.simulator_port,
            killable=bool(agent.command),
            home=self._home(folder),
            outside=agent.outside,
        )

    def _home(self, folder: Path) -> Path | None:
        """Return HOME for a container: of an image it is what `docker` itself finds its settings in."""
        if not self.agent.home:
            return Path.home() if self.agent.image else None
        return (folder / Path(self.agent.home).expanduser()).resolve()


def docker_run(agent: AgentTable) -> tuple[str, ...]:
    """Return what runs a container of an image: in the host's network, gone when it ends."""
    passed = [
        word
        for name in sorted({agent.port_env, *agent.env, *TELEMETRY, *IN_IMAGES})
        for word in ("--env", name)
    ]
    return ("docker", "run", "--rm", "--init", "--network", "host", *passed, agent.image)


TELEMETRY: Final = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_BSP_SCHEDULE_DELAY",
)
"""Variables that the harness sets for each container, and that `docker run` has to hand on."""


def find(folder: Path) -> Path | None:
    """Return the file of a folder that describes an agent, None when there is none."""
    if (folder / FILE).is_file():
        return folder / FILE
    project = folder / "pyproject.toml"
    try:
        text = project.read_text("utf-8")
        return project if "agentrig" in tomllib.loads(text).get("tool", {}) else None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None


def read(file: Path) -> OwnAgent:
    """Read the description of an agent.

    Raises:
        InputError: it can't be read, or is wrong: a line for each thing that is.
    """
    try:
        text = file.read_text("utf-8")
        record: dict[str, Any] = tomllib.loads(text)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}. `agentrig init` writes one.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is not UTF-8 text.") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file}: is not valid TOML: {error}") from error
    below = "tool.agentrig" if file.name == "pyproject.toml" else ""
    if below:
        record = record.get("tool", {}).get("agentrig", {})
    try:
        return OwnAgent.model_validate(record)
    except ValidationError as error:
        raise InputError(validation_messages(error, str(file), OwnAgent, text=text, below=below)) from error


def places_in(text: str) -> set[str]:
    """Return the places of a text that are filled in."""
    return set(PLACE.findall(text))
