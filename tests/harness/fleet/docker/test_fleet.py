"""What a container is told, and which fleets there can be of containers."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.clock import FakeClock
from harness.errors import InputError
from harness.fence import FENCE, HOME
from harness.fleet.commands import FleetAddresses
from harness.fleet.docker.fleet import DockerFleet, EngineContainers
from harness.fleet.opening import placed, require
from harness.fleet.plan import FleetPlan
from harness.fleet.ports import Ports
from harness.fleet.surroundings import Surroundings
from harness.fleet.where import Where
from harness.records.spec import FleetSpec, Policy
from harness.simulator_config import SimulatorConfig
from harness.under_test import AgentUnderTest
from tests.harness.fleet.docker.fake_engine import GATEWAY, FakeEngine

WIRING = FleetAddresses(
    experiment="an-experiment",
    arm="an-arm",
    capture=1,
    simulator=2,
    mcp=3,
    outside=4,
    host=GATEWAY,
    inherited={"PATH": "/of/this/machine", "LD_LIBRARY_PATH": "/of/this/machine"},
    token="a-token",
)
OWN = AgentUnderTest(
    name="bot",
    image="bot:1",
    env={"PORT": "{port}", "DB": "{sessions}", "URL": "{simulator}"},
    killable=False,
)


def plan(folder: Path, **changed: Any) -> FleetPlan:
    asked: dict[str, Any] = {
        "experiment": "an-experiment",
        "arm": "an-arm",
        "agents": 1,
        "concurrency_limit": 4,
        "policy": Policy.BUSY_AWARE,
        "queue_limit": 100,
        "simulator": SimulatorConfig(),
        "mcp_handshake_s": 0.0,
        "env": {"AGENT_CONTROLS": "no-retry"},
        "work_dir": folder,
        "log_dir": folder,
        "forward_url": None,
    }
    return FleetPlan(**(asked | changed))


def told(folder: Path, **changed: Any) -> dict[str, str]:
    """Return the environment of a first container."""
    asked, engine, clock = plan(folder, **changed), FakeEngine(), FakeClock()
    (folder / "sessions").mkdir()
    with engine.place() as place:
        containers = EngineContainers(
            asked,
            place=place,
            clock=clock,
            ports=Ports(),
            processes=SimpleNamespace(start=lambda child, _: child.start()),
            balancers=None,
            surroundings=Surroundings(asked, WIRING, ports=Ports(), clock=clock),
            client=None,
        )
        container = containers.start()
        assert (container.name, container.address) == ("agent-1", "172.31.7.2:8080")
        assert container.reached_at == container.address
        return dict(each.split("=", 1) for each in engine.only().body["Env"])


def test_the_reference_agent_finds_at_the_gateway_what_it_calls(tmp_path: Path) -> None:
    env = told(tmp_path)
    assert env["OPENAI_BASE_URL"] == f"http://{GATEWAY}:2/v1"
    assert env["MCP_SERVER_URL"] == f"http://{GATEWAY}:3/mcp"
    assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://{GATEWAY}:1"
    assert (env["HOST"], env["PORT"]) == ("0.0.0.0", "8080")
    assert env["AGENT_SESSION_STORE"] == "sqlite:////agentrig/sessions.db"
    assert env["AGENT_CONTROLS"] == "no-retry"
    assert "service.instance.id=agent-1" in env["OTEL_RESOURCE_ATTRIBUTES"]


def test_a_container_gets_nothing_of_this_machine(tmp_path: Path) -> None:
    env = told(tmp_path)
    assert "PATH" not in env
    assert "LD_LIBRARY_PATH" not in env
    assert "a-token" not in env.values(), "the control of the simulator is not the containers'"
    assert (tmp_path / "sessions").stat().st_mode & 0o777 == 0o777, "an image has users of its own"


def test_an_image_of_a_user_is_fenced_and_has_its_own_home(tmp_path: Path) -> None:
    env = told(tmp_path, under_test=OWN)
    assert (env["PORT"], env["DB"], env["URL"]) == ("8080", "/agentrig/sessions.db", f"http://{GATEWAY}:2")
    assert FENCE.keys() - env.keys() == {HOME}
    assert env["HTTPS_PROXY"] == f"http://{GATEWAY}:4"
    assert GATEWAY in env["NO_PROXY"].split(","), "what it is given is asked without the proxy"


@pytest.mark.parametrize(
    ("fleet", "own", "why"),
    [
        (None, AgentUnderTest(name="bot", argv=("bot",)), "has no image"),
        (None, AgentUnderTest(name="bot", addresses=("127.0.0.1:1",)), "has no image"),
        (None, replace(OWN, env={"REDIS": "{store}"}), "is a real Redis"),
        (FleetSpec(store="redis"), None, "processes alone"),
        (FleetSpec(tool_servers=3), None, "processes alone"),
        (FleetSpec(restored=True), OWN, "processes alone"),
    ],
)
def test_what_can_be_no_fleet_of_containers_is_refused(
    fleet: FleetSpec | None, own: AgentUnderTest | None, why: str
) -> None:
    with pytest.raises(InputError, match=why):
        require(Where.DOCKER, "an-experiment", fleet, own)
    require(Where.LOCAL, "an-experiment", fleet, own)


def test_what_can_be_one_is_none_of_these() -> None:
    require(Where.DOCKER, "an-experiment", FleetSpec(), None)
    require(Where.DOCKER, "an-experiment", FleetSpec(), OWN)


def test_a_command_is_no_container(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give an image"):
        DockerFleet(plan(tmp_path, agent_command=("an-agent",)), engine=FakeEngine().client())


def test_a_container_of_an_engine_can_be_killed() -> None:
    assert placed(OWN, Where.DOCKER).killable
    assert not placed(OWN, Where.LOCAL).killable
