"""Program, arguments and environment of each process of a fleet, as pure functions."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.contract import (
    ARM,
    EXPERIMENT,
    INSTANCE_ID,
    ONE_CLOCK,
    OTLP_HEADERS,
    SERVICE_AGENT,
    SERVICE_MCP,
    SERVICE_SIMULATOR,
    SIMULATOR_TOKEN,
)
from harness.fence import FENCE, HOME, near
from harness.fleet.local.copies import program_in
from harness.fleet.ports import HOST
from harness.under_test import AgentUnderTest, fill

ENGINE: Final = "DOCKER_HOST"
"""Told to `docker run` of an agent that is an image, and to no agent."""
INHERITED: Final = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", ENGINE}
)
INHERITED_PREFIX: Final = "PYTHON"
USER_BASE: Final = "PYTHONUSERBASE"
SPAN_DELAY_MS: Final = 500
SPAN_QUEUE: Final = 65_536
"""Spans that may wait to be sent; the default of 2048 loses some in a burst."""
EXPORT_S: Final = 25
"""How long one export may take, and the last one of a process that ends: less than the process may."""
DRAIN_S: Final = 20
"""How long a container that is told to leave may work on: less than the process may."""
METRIC_INTERVAL_MS: Final = 5000
MODEL_ID: Final = "simulated-model"
REFERENCE_AGENT: Final = (sys.executable, "-P", "-m", "reference_agent")
"""`-P`: a folder in which somebody types a command may have a `mcp.py` of its own, and is not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is started: program with arguments, and its whole environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    workdir: Path | None = None
    """Where it is started, None for here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetAddresses:
    """Who belongs to what, and where each process listens.

    Attributes:
        experiment, arm: what all telemetry is marked with.
        capture, simulator, mcp: their ports.
        outside: that of the proxy which refuses all.
        inherited: the environment that is handed down, see `inherit`.
        replicas: ports of more tool servers, the one that has other tools last, where weather asks for it.
        host: the address at which they all listen, and are found by the containers.
        token: that the simulator's control asks for beyond loopback, empty for none.
    """

    experiment: str
    arm: str
    capture: int
    simulator: int
    mcp: int
    inherited: Mapping[str, str]
    outside: int = 0
    replicas: tuple[int, ...] = ()
    host: str = HOST
    token: str = field(default="", repr=False)

    def url(self, port: int) -> str:
        """Return the address of one of them."""
        return f"http://{self.host}:{port}"


def inherit(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the harness's environment that its children get: never a key to a cloud."""
    return {
        name: value
        for name, value in environ.items()
        if name in INHERITED or name.startswith(INHERITED_PREFIX)
    }


def capture(wiring: FleetAddresses, out: Path, forward_url: str | None, headers: str = "") -> Command:
    """Return the command of the capture, which writes to the folder `out`.

    Args:
        wiring: where it listens.
        out: its folder.
        forward_url: that gets a copy, None for nobody.
        headers: what it is asked for there, as the variable says it; no other process is told.
    """
    forward = ("--forward", forward_url) if forward_url else ()
    argv = (*_module("harness.capture", wiring.capture, wiring), "--out", str(out), *forward)
    given = {OTLP_HEADERS: headers} if forward_url and headers else {}
    return Command(argv=argv, env=_unbuffered(wiring) | given)


def simulator(wiring: FleetAddresses, config: Path, journal: Path) -> Command:
    """Return the command of the model API simulator, which reads `config` and writes `journal`."""
    argv = (
        *_module("harness.simulator", wiring.simulator, wiring),
        *("--config", str(config), "--journal", str(journal)),
        *("--experiment", wiring.experiment, "--arm", wiring.arm),
    )
    token = {SIMULATOR_TOKEN: wiring.token} if wiring.token else {}
    telemetry = _telemetry(wiring, SERVICE_SIMULATOR, "model-api-1")
    return Command(argv=argv, env=_unbuffered(wiring) | telemetry | token)


def mcp_server(
    wiring: FleetAddresses,
    handshake_s: float,
    *,
    port: int | None = None,
    number: int = 1,
    tools: Path | None = None,
) -> Command:
    """Return the command of a tool server, whose handshake takes `handshake_s`.

    Args:
        wiring: where the first one listens.
        handshake_s: see above.
        port: where another one is to listen.
        number: of the replica.
        tools: file of what it is told, None for its own defaults.
    """
    module = _module("harness.simulator.mcp_server", wiring.mcp if port is None else port, wiring)
    told = ("--tools", str(tools)) if tools is not None else ()
    telemetry = _telemetry(wiring, SERVICE_MCP, f"mcp-server-{number}")
    return Command(
        argv=(*module, "--handshake-s", str(handshake_s), *told), env=_unbuffered(wiring) | telemetry
    )


def agent(
    wiring: FleetAddresses,
    *,
    name: str,
    port: int,
    api_key: str,
    sessions: Path,
    concurrency_limit: int,
    env: Mapping[str, str],
    argv: tuple[str, ...] | None,
    listens: str = HOST,
) -> Command:
    """Return the command of one agent container.

    Args:
        wiring: where the others are.
        name: its `service.instance.id`.
        port: where it is to listen.
        api_key: a made-up key of the simulator.
        sessions: file of the session store that all containers share.
        concurrency_limit: requests that it may work on at once.
        env: what the arm adds; it wins over everything here.
        argv: what starts it, None for the reference agent.
        listens: the address at which it is to listen.
    """
    own = {
        "HOST": listens,
        "PORT": str(port),
        "OPENAI_BASE_URL": f"{wiring.url(wiring.simulator)}/v1",
        "OPENAI_API_KEY": api_key,
        "MCP_SERVER_URL": f"{wiring.url(wiring.mcp)}/mcp",
        "AGENT_SESSION_STORE": f"sqlite:///{sessions.absolute()}",
        "AGENT_CONCURRENCY_LIMIT": str(concurrency_limit),
        "AGENT_MODEL_ID": MODEL_ID,
        "AGENT_DRAIN_S": str(DRAIN_S),
    }
    telemetry = _telemetry(wiring, SERVICE_AGENT, name)
    return Command(argv=argv or REFERENCE_AGENT, env=_unbuffered(wiring) | telemetry | own | dict(env))


def own_agent(
    wiring: FleetAddresses,
    agent: AgentUnderTest,
    *,
    name: str,
    port: int,
    api_key: str,
    sessions: Path,
    home: Path,
    folder: Path | None = None,
    store: str = "",
) -> Command:
    """Return the command of one container of a user's own agent, fenced from every real model.

    Args:
        wiring: where the others are.
        agent: how it is started.
        name: its `service.instance.id`.
        port: where it is to listen.
        api_key: a made-up key of the simulator.
        sessions: a file that all containers may share.
        home: an empty folder.
        folder: its copy of the agent's folder, None to start it in that one itself.
        store: address of a real session store, empty for none.
    """
    places = {
        "port": str(port),
        "name": name,
        "limit": str(agent.concurrency_limit),
        "simulator": wiring.url(wiring.simulator),
        "api_key": api_key,
        "mcp": f"{wiring.url(wiring.mcp)}/mcp",
        "otlp": wiring.url(wiring.capture),
        "sessions": str(sessions.absolute()),
        "store": store,
        "home": str(home.absolute()),
    }
    here = () if wiring.host == HOST else (wiring.host,)
    walls = {"outside": wiring.url(wiring.outside), "near": near((*here, *agent.outside))}
    fence = {key: value.format(**places, **walls) for key, value in FENCE.items()} | _user_packages(wiring)
    if agent.home is not None:
        fence[HOME] = str(agent.home)
    own = {key: fill(value, places) for key, value in agent.env.items()}
    if agent.image and ENGINE in wiring.inherited:
        fence[ENGINE] = wiring.inherited[ENGINE]
    argv = tuple(fill(word, places) for word in agent.argv)
    return Command(
        argv=program_in(argv, agent.workdir) if folder else argv,
        env=_unbuffered(wiring) | _telemetry(wiring, SERVICE_AGENT, name) | fence | own,
        workdir=folder or agent.workdir,
    )


def _user_packages(wiring: FleetAddresses) -> dict[str, str]:
    """Return where Python finds what was installed for the user alone: by default that hangs on HOME."""
    home = wiring.inherited.get(HOME)
    return {USER_BASE: f"{home}/.local"} if home and USER_BASE not in wiring.inherited else {}


def envoy(wiring: FleetAddresses, binary: Path, config: Path) -> Command:
    """Return the command of the balancer; one worker, because two would split its queue."""
    argv = (
        *(str(binary), "--config-path", str(config), "--concurrency", "1", "--disable-hot-restart"),
        *("--log-level", "warning", "--file-flush-interval-msec", "500"),
    )
    return Command(argv=argv, env=dict(wiring.inherited))


def _module(name: str, port: int, wiring: FleetAddresses) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", name, "--host", wiring.host, "--port", str(port))


def _unbuffered(wiring: FleetAddresses) -> dict[str, str]:
    """Return the environment in which a process that is killed has its last lines in the log."""
    kept = {name: value for name, value in wiring.inherited.items() if name != ENGINE}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def _telemetry(wiring: FleetAddresses, service: str, instance: str) -> dict[str, str]:
    resource = {INSTANCE_ID: instance, EXPERIMENT: wiring.experiment, ARM: wiring.arm, ONE_CLOCK: HOST}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": wiring.url(wiring.capture),
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": service,
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{key}={value}" for key, value in resource.items()),
        "OTEL_EXPORTER_OTLP_TIMEOUT": str(EXPORT_S),
        "OTEL_BSP_EXPORT_TIMEOUT": str(1000 * EXPORT_S),
        "OTEL_BSP_SCHEDULE_DELAY": str(SPAN_DELAY_MS),
        "OTEL_BSP_MAX_QUEUE_SIZE": str(SPAN_QUEUE),
        "OTEL_METRIC_EXPORT_INTERVAL": str(METRIC_INTERVAL_MS),
    }
