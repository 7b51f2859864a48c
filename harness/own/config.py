"""`agentrig.toml`, or `[tool.agentrig]` in a `pyproject.toml`: how a user's agent is started and asked."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from harness.asking.described import record_of
from harness.asking.request_table import PathOf, RequestTable
from harness.contract import PING
from harness.errors import InputError
from harness.fence import FENCE, IN_IMAGES
from harness.outside.environment import VariableName, Word, home
from harness.outside.secrets import of_environment, of_words, remember
from harness.simulator_config import Strict
from harness.under_test import PLACE, AgentUnderTest
from harness.wrong_keys import validation_messages

BY_FOLDER: Final = frozenset({"hatch", "pdm", "pipenv", "poetry", "rye", "uv"})
"""Programs that look for an environment that belongs to the folder they are started in, or make one."""
IPV6: Final = 6
IMAGE: Final = re.compile(r"[A-Za-z0-9\[](?:[A-Za-z0-9_\[\]:@-]|[./](?![./]))*")
"""How an image is named, about: what else is wrong with it is said by who looks for it."""
HostName = Annotated[str, Field(pattern=r"^[.]?[A-Za-z0-9_][A-Za-z0-9_.-]*(:[0-9]{1,5})?$")]
"""A host, as the variable NO_PROXY takes it: `.example.com` is all below it."""


def _within(path: str) -> str:
    """Take a path that lies in the folder of the file.

    Raises:
        ValueError: it doesn't.
    """
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        msg = "give files of this folder, such as requirements.txt"
        raise ValueError(msg)
    return path


FileWithin = Annotated[Word, AfterValidator(_within)]


class AgentTable(Strict):
    """`[agent]`: how a container is started.

    Attributes:
        name: in reports; the folder's name by default.
        command: program and arguments that start one container on this machine.
        image: in its place, an image: containers of an engine with `--on docker`, else run by `docker` in the
            host's network.
        memory_mb: with `--on docker`, that each container may have, in MiB; with more it is killed.
        cpus: with `--on docker`, that each container may keep busy; as many as there are by default.
        urls: in its place, containers that run already. The harness can't kill or restart these.
        allow_remote: whether `urls` may be on other machines. Loads are real: only where you may.
        workdir: where `command` is started, relative to this file.
        own_folder: whether each container is started in a copy of it, so that what one writes there no other
            finds, and nothing of it outlives the container. Otherwise all share the folder itself.
        setup: program and arguments that the gate runs once in a checkout before it starts the agent: what
            builds its environment, say.
        setup_needs: the files that `setup` reads, and no others. It then runs once for each content of them,
            in a folder that has nothing else, and what it makes is linked into each checkout.
        port_env: the variable that tells the agent where to listen; `{port}` works in `command`, too.
        ready: path that answers 200 once it can work.
        start_deadline_s: how long that may take.
        concurrency_limit: requests that one container works on at once.
        simulator_port: a fixed port for the model API simulator, for `urls` that were told of it beforehand.
        env: its environment. Places to fill in: {port} {name} {limit} {simulator} {api_key} {mcp} {otlp}
            {sessions} {store} {home}. Beside it only PATH and the like are handed down, no key of yours.
        home: its HOME; an empty folder by default, so that it finds no key or profile of yours.
        outside: hosts that it may ask beside this machine, for tools of its own; none by default.
    """

    name: str = ""
    command: tuple[Word, ...] = ()
    image: Word = ""
    memory_mb: Annotated[int, Field(ge=16, le=1_048_576)] = 512
    cpus: Annotated[float, Field(ge=0.1, le=256)] | None = None
    urls: tuple[str, ...] = ()
    allow_remote: bool = False
    workdir: Word = "."
    own_folder: bool = True
    setup: tuple[Word, ...] = ()
    setup_needs: tuple[FileWithin, ...] = ()
    port_env: VariableName = "PORT"
    ready: PathOf = PING
    start_deadline_s: Annotated[float, Field(gt=0, le=600)] = 180.0
    concurrency_limit: Annotated[int, Field(ge=1, le=1000)] = 4
    simulator_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    env: Mapping[VariableName, Word] = {}
    home: Word = ""
    outside: tuple[HostName, ...] = ()

    @model_validator(mode="after")
    def _one_way_to_start(self) -> Self:
        given = [name for name in ("command", "image", "urls") if getattr(self, name)]
        if len(given) != 1:
            msg = f"give one of command, image and urls, not {' and '.join(given) or 'none of them'}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _environment_is_found(self) -> Self:
        program = Path(self.command[0]).name if self.command else ""
        if program in BY_FOLDER and self.own_folder:
            msg = (
                f"command: {program} finds its environment by the folder, and each container is started in a "
                "copy: name the environment's own program, or say own_folder = false"
            )
            raise ValueError(msg)
        return self

    @field_validator("image")
    @classmethod
    def _of_an_image(cls, image: str) -> str:
        if image and IMAGE.fullmatch(image) is None:
            msg = "that is no image, such as my-agent, my-agent:1.2 or registry.example/my-agent@sha256:..."
            raise ValueError(msg)
        return image

    @field_validator("home")
    @classmethod
    def _expanded(cls, home: str) -> str:
        try:
            Path(home).expanduser()
        except RuntimeError as error:
            msg = "there is no such user"
            raise ValueError(msg) from error
        return home

    @field_validator("urls")
    @classmethod
    def _addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            address_of(url)
        return urls

    @model_validator(mode="after")
    def _near(self) -> Self:
        far = [url for url in self.urls if not ip_of(url).is_loopback]
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
    """The whole file.

    Attributes:
        agent: how a container is started.
        request: how it is asked.
        limits: what you promise.
    """

    agent: AgentTable
    request: RequestTable = RequestTable()
    limits: LimitsTable = LimitsTable()

    @model_validator(mode="after")
    def _needs_are_of_a_setup(self) -> Self:
        if self.agent.setup_needs and not self.agent.setup:
            msg = "agent.setup_needs: there is no agent.setup that would need them"
            raise ValueError(msg)
        return self

    def under_test(self, folder: Path, *, asked_from: Path | None = None) -> AgentUnderTest:
        """Return what the stages are told.

        Args:
            folder: of the agent; the file's own where it is that.
            asked_from: where the prompts are, if that is another.
        """
        agent = self.agent
        argv = agent.command or (docker_run(agent) if agent.image else ())
        return AgentUnderTest(
            name=agent.name or folder.resolve().name,
            argv=argv,
            addresses=tuple(map(address_of, agent.urls)),
            workdir=(folder / agent.workdir).resolve(),
            env={agent.port_env: "{port}", **agent.env},
            ready=agent.ready,
            start_deadline_s=agent.start_deadline_s,
            concurrency_limit=agent.concurrency_limit,
            request=self.request.shape(asked_from or folder),
            simulator_port=agent.simulator_port,
            image=agent.image,
            memory_mb=agent.memory_mb,
            cpus=agent.cpus,
            killable=bool(agent.command),
            own_folder=bool(agent.command) and agent.own_folder,
            home=self._home(folder),
            outside=agent.outside,
        )

    def _home(self, folder: Path) -> Path | None:
        """Return HOME for a container: of an image it is what `docker` itself finds its settings in."""
        if not self.agent.home:
            return home() if self.agent.image else None
        return (folder / Path(self.agent.home).expanduser()).resolve()


def ip_of(url: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address of the machine in a container's URL, which the balancer takes no name for.

    Raises:
        ValueError: it has none, or has more than a balancer can be told.
    """
    parts = urlsplit(url)
    rest = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme != "http" or not parts.hostname or not parts.port or rest or "@" in parts.netloc:
        msg = "a container's address is one such as http://127.0.0.1:8080, with nothing before it or behind"
        raise ValueError(msg)
    try:
        return ipaddress.ip_address("127.0.0.1" if parts.hostname == "localhost" else parts.hostname)
    except ValueError as error:
        msg = f"{parts.hostname} is a name, and the balancer takes none: give the machine's IP address"
        raise ValueError(msg) from error


def address_of(url: str) -> str:
    """Return `host:port` of a container's URL, as the balancer writes it.

    Raises:
        ValueError: it is no such address.
    """
    ip = ip_of(url)
    return f"{f'[{ip}]' if ip.version == IPV6 else ip}:{urlsplit(url).port}"


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


def read(file: Path) -> OwnAgent:
    """Read the description of an agent.

    Raises:
        InputError: it can't be read, or is wrong: a line for each thing that is.
    """
    record, text, below = record_of(file)
    try:
        described = OwnAgent.model_validate(record)
    except ValidationError as error:
        raise InputError(validation_messages(error, str(file), OwnAgent, text=text, below=below)) from error
    remember(secrets_of(described).values())
    return described


def secrets_of(described: OwnAgent) -> dict[str, str]:
    """Return what must be kept nowhere, by name.

    That is what the headers take from the environment, the agent's keys, and those in addresses. What the
    fence makes up is none: `agentrig`, taken for a key, would be hidden in every name of ours.
    """
    agent = described.agent
    told = of_environment(agent.env)
    told |= {f"command ({number})": each for number, each in enumerate(of_words(agent.command), start=1)}
    made_up = frozenset(FENCE.values())
    found = {name: each for name, each in told.items() if not places_in(each) and each not in made_up}
    return found | described.request.secrets()


def places_in(text: str) -> set[str]:
    """Return the places of a text that are filled in."""
    return set(PLACE.findall(text))
