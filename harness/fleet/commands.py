"""How each process of a fleet is called: its arguments and its environment, as pure functions."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import contract
from harness.fleet.ports import HOST

REFERENCE_AGENT = (sys.executable, "-m", "reference_agent")
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "SSL_CERT_FILE")
"""What a child takes from the harness's environment; never cloud keys or tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where each part of a fleet listens: loopback ports."""

    capture: int
    simulator: int
    mcp: int
    balancer: int
    admin: int
    agents: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to start.

    Attributes:
        name: the process's name in the fleet.
        argv: program and arguments.
        env: added to the inherited environment.
        ready_url: answers 200 once it is ready.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    ready_url: str


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the harness's environment that its children get."""
    return {name: environment[name] for name in INHERITED if name in environment}


def capture(at: Addresses, out: Path, forward_url: str | None) -> Command:
    """The OTLP receiver."""
    forward = ("--forward", forward_url) if forward_url else ()
    argv = _module("harness.capture", at.capture, "--out", str(out), *forward)
    return Command(name="capture", argv=argv, env={}, ready_url=_url(at.capture, "/healthz"))


def simulator(at: Addresses, config: Path, journal: Path, experiment: str, arm: str) -> Command:
    """The model API simulator."""
    argv = _module(
        "harness.simulator",
        at.simulator,
        *("--config", str(config), "--journal", str(journal)),
        *("--experiment", experiment, "--arm", arm),
    )
    env = telemetry(at, contract.SERVICE_SIMULATOR, "simulator-1", experiment, arm)
    return Command(name="simulator", argv=argv, env=env, ready_url=_url(at.simulator, "/healthz"))


def mcp_server(at: Addresses, handshake_s: float, experiment: str, arm: str) -> Command:
    """The tool server."""
    argv = _module("harness.simulator.mcp_server", at.mcp, "--handshake-s", str(handshake_s))
    env = telemetry(at, contract.SERVICE_MCP, "mcp-server-1", experiment, arm)
    return Command(name="mcp-server", argv=argv, env=env, ready_url=_url(at.mcp, "/healthz"))


def agent(
    at: Addresses,
    number: int,
    *,
    argv: tuple[str, ...],
    experiment: str,
    arm: str,
    concurrency_limit: int,
    store: Path,
    env: Mapping[str, str],
) -> Command:
    """Agent `number`, from 1."""
    port = at.agents[number - 1]
    name = f"agent-{number}"
    own = {
        "HOST": HOST,
        "PORT": str(port),
        "OPENAI_BASE_URL": _url(at.simulator, "/v1"),
        "OPENAI_API_KEY": "sk-agentrig-fleet",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": _url(at.simulator, ""),
        "AWS_ACCESS_KEY_ID": "agentrig",
        "AWS_SECRET_ACCESS_KEY": "agentrig",
        "AWS_REGION": "us-east-1",
        "MCP_SERVER_URL": _url(at.mcp, "/mcp"),
        "AGENT_SESSION_STORE": f"sqlite:///{store}",
        "AGENT_CONCURRENCY_LIMIT": str(concurrency_limit),
        "AGENT_MODEL_ID": "sim-1",
    }
    return Command(
        name=name,
        argv=argv,
        env=own | telemetry(at, contract.SERVICE_AGENT, name, experiment, arm) | dict(env),
        ready_url=_url(port, contract.PING),
    )


def envoy(at: Addresses, binary: Path, config: Path) -> Command:
    """The balancer; one worker thread, since two would split its queue."""
    argv = (
        *(str(binary), "-c", str(config), "--concurrency", "1", "--log-level", "warning"),
        *("--disable-hot-restart", "--drain-time-s", "1"),
    )
    return Command(name="envoy", argv=argv, env={}, ready_url=_url(at.admin, "/ready"))


def telemetry(at: Addresses, service: str, instance: str, experiment: str, arm: str) -> dict[str, str]:
    """The standard OpenTelemetry variables, pointing at the capture."""
    resource = {
        contract.INSTANCE_ID: instance,
        contract.EXPERIMENT: experiment,
        contract.ARM: arm,
    }
    return {
        "OTEL_SERVICE_NAME": service,
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{key}={value}" for key, value in resource.items()),
        "OTEL_EXPORTER_OTLP_ENDPOINT": _url(at.capture, ""),
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "OTEL_BSP_MAX_QUEUE_SIZE": "65536",
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
    }


def _module(module: str, port: int, *rest: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, "--port", str(port), *rest)


def _url(port: int, path: str) -> str:
    return f"http://{HOST}:{port}{path}"
