"""A fleet of real containers, on the engine of this machine, of the image that the Dockerfile makes.

`make engine-test` runs these; where no engine answers, or it has no such image, each says so and is skipped.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.capture import decode
from harness.contract import UPSTREAM_HEADER
from harness.errors import AgentrigError, ChildDiedError, ExitCode
from harness.fleet.docker.engine import Engine, engine_socket
from harness.fleet.docker.fleet import DockerFleet
from harness.fleet.images import REFERENCE
from harness.process.leftovers import FLEET_LABEL
from harness.records.spec import EventSpec
from harness.under_test import AgentUnderTest
from tests.e2e.asking import HTTP
from tests.e2e.rolling import rolled, statuses
from tests.e2e.test_fleet import TRACE_ID, TRACED, plan
from tests.e2e.waiting import DEADLINE_S, until

pytestmark = pytest.mark.e2e

COMMAND = (str(Path(sys.executable).with_name("agentrig")),)
TURNS = 4


def left(engine: Engine) -> list[str]:
    """Return what any fleet has in the engine."""
    wanted = {"filters": json.dumps({"label": [FLEET_LABEL]})}
    containers = engine.call("GET", "/containers/json", params={"all": "true", **wanted})
    networks = engine.call("GET", "/networks", params=wanted)
    return [str(each.get("Names") or each["Name"]) for each in (*containers, *networks)]


@pytest.fixture
def engine() -> Iterator[Engine]:
    found = Engine(engine_socket())
    try:
        found.call("GET", f"/images/{REFERENCE.image}/json")
    except AgentrigError as error:
        pytest.skip(f"{error} (the image: docker build --tag {REFERENCE.image} .)")
    assert not left(found), "somebody else's fleet is up"
    yield found
    assert not left(found)


def ask(fleet: DockerFleet, **headers: str) -> httpx.Response:
    return HTTP.post(
        f"{fleet.urls[0]}/invocations", json={"prompt": "hello"}, headers=headers, timeout=DEADLINE_S
    )


@pytest.mark.usefixtures("engine")
def test_a_request_goes_through_a_container_in_one_trace_and_one_that_is_killed_is_replaced(
    tmp_path: Path,
) -> None:
    session = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "s" * 40}
    with DockerFleet(plan(tmp_path, events=(EventSpec(action="kill", at_s=0.0),))) as fleet:
        answer = ask(fleet, **TRACED, **session)
        assert answer.status_code == 200, answer.text
        addresses = {container.address for container in fleet.containers}
        assert len(addresses) == 2
        assert answer.headers.get_list(UPSTREAM_HEADER)[0] in addresses
        fleet.check()
        usage = fleet.usage()
        assert all(usage[each.name][0] > 0.1 and usage[each.name][1] > 20 for each in fleet.containers), usage
        assert fleet.simulator.told("/sim/stats")["attempts"] == 2
        bare = HTTP.get(f"{fleet.simulator.url}/sim/stats")
        assert bare.status_code == 401, "beyond loopback the control of the simulator asks for its token"
        assert (fleet.store_bytes() or 0) > 0
        killed_and_replaced(fleet, session)
        instances = {container.name for container in fleet.containers}
    traced = [span for span in spans(fleet) if span.trace_id == TRACE_ID]
    assert {span.service for span in traced} == {"envoy", "agent", "model-api", "mcp-server"}
    (instance,) = {span.instance for span in traced if span.service == "agent"}
    assert instance in instances
    assert (tmp_path / "logs" / "agent-1.log").exists()


def spans(fleet: DockerFleet) -> list[Any]:
    return list(decode.spans(decode.otlp_json_lines(fleet.traces_raw)))


def killed_and_replaced(fleet: DockerFleet, session: dict[str, str]) -> None:
    """See that another comes for the one that the plan has killed, and that a session goes on."""
    fleet.begin(time.time())

    def replaced() -> bool:
        fleet.step()
        return len(fleet.containers) == 3

    until("another container", replaced)
    assert [event.action for event in fleet.events] == ["kill"]
    answers = [ask(fleet, **session) for _ in range(TURNS)]
    assert {answer.status_code for answer in answers} == {200}
    dead = next(each for each in fleet.containers if each.left_s is not None)
    assert dead.address not in {answer.headers[UPSTREAM_HEADER] for answer in answers}


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("drains", [True, False])
def test_a_rolling_update_loses_no_request_unless_the_agent_drops_them(
    tmp_path: Path, *, drains: bool
) -> None:
    with DockerFleet(plan(tmp_path, **rolled(drains=drains))) as fleet:
        served = set(statuses(fleet))
        assert served == {200} if drains else served > {200}


@pytest.mark.usefixtures("engine")
def test_a_container_that_cannot_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ChildDiedError, match="AGENT_CONCURRENCY_LIMIT") as caught:
        DockerFleet(plan(tmp_path, env={"AGENT_CONCURRENCY_LIMIT": "0"})).__enter__()
    assert caught.value.death.status == 3


@pytest.mark.usefixtures("engine")
def test_over_its_memory_limit_a_container_is_killed_and_that_is_said(tmp_path: Path) -> None:
    small = AgentUnderTest(name="small", image=REFERENCE.image, memory_mb=16, ready="/readyz")
    with pytest.raises(ChildDiedError, match=r"over its memory limit of 16 MiB|killed by signal 9"):
        DockerFleet(plan(tmp_path, under_test=small)).__enter__()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_harness_that_is_stopped_or_killed_leaves_nothing_in_the_engine(
    engine: Engine, tmp_path: Path, number: signal.Signals
) -> None:
    argv = [*COMMAND, "up", "--on", "docker", "--agents", "1", "--logs", str(tmp_path / "logs")]
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    with subprocess.Popen(argv, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL) as harness:
        try:
            until("a fleet", (tmp_path / "state" / "agentrig" / "up.json").exists)
            assert left(engine)
        finally:
            harness.send_signal(number)
    until("nothing", lambda: not left(engine))


@pytest.mark.parametrize(
    ("host", "code", "said"),
    [
        ("unix:///nowhere/engine.sock", ExitCode.NOT_STARTED, "no container engine answers there"),
        ("tcp://127.0.0.1:2375", ExitCode.BAD_INPUT, "give the engine of this machine"),
    ],
)
def test_an_engine_that_is_not_there_is_a_sentence(
    tmp_path: Path, host: str, code: ExitCode, said: str
) -> None:
    argv = [*COMMAND, "run", "cold-start", "--quick", "--on", "docker", "--rate-scale", "1"]
    env = {**os.environ, "DOCKER_HOST": host, "XDG_STATE_HOME": str(tmp_path / "state")}
    ran = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert said in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr


@pytest.mark.proof
@pytest.mark.usefixtures("engine")
def test_an_experiment_holds_and_its_controls_are_caught(tmp_path: Path) -> None:
    argv = [*COMMAND, "run", "cold-start", "--quick", "--on", "docker", "--out", str(tmp_path / "run")]
    ran = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode in {0, 2}, ran.stdout + ran.stderr
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text("utf-8"))
    assert verdict["verdict"] != "fail"
    assert json.loads((tmp_path / "run" / "plan.json").read_text("utf-8"))["on"] == "docker"
