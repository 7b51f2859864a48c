"""A fleet of real pods, on the cluster that the kubeconfig names, of the image that the Dockerfile makes.

`make cluster-test` runs these; where no cluster answers, each says so and is skipped.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from harness.clock import SystemClock
from harness.contract import UPSTREAM_HEADER
from harness.errors import AgentrigError, ChildDiedError, StartError
from harness.fleet.kubernetes.api import Cluster
from harness.fleet.kubernetes.fleet import KubernetesFleet
from harness.fleet.kubernetes.kubeconfig import connect
from harness.fleet.kubernetes.manifests import ON_NODE
from harness.process.leftovers import FLEET_LABEL, REMOVAL_S
from harness.records.spec import EventSpec
from harness.under_test import AgentUnderTest
from tests.e2e.asking import HTTP
from tests.e2e.rolling import rolled, statuses
from tests.e2e.test_fleet import TRACED, plan
from tests.e2e.waiting import DEADLINE_S, until

pytestmark = pytest.mark.e2e

COMMAND = (str(Path(sys.executable).with_name("agentrig")),)
TURNS = 4


def left(cluster: Cluster) -> list[str]:
    """Return the namespaces that any fleet has in the cluster."""
    found = cluster.call("GET", "/api/v1/namespaces", params={"labelSelector": FLEET_LABEL})["items"]
    return [each["metadata"]["name"] for each in found]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    try:
        found = connect("", SystemClock())
        found.call("GET", "/version", once=True)
    except AgentrigError as error:
        pytest.skip(f"{error} (one for the tests: make cluster)")
    assert not left(found), "somebody else's fleet is up"
    yield found
    assert not left(found)
    folder = Path(ON_NODE)  # of the node, where that is this machine
    assert not folder.exists() or not list(folder.iterdir())


def ask(fleet: KubernetesFleet, **headers: str) -> httpx.Response:
    return HTTP.post(
        f"{fleet.urls[0]}/invocations", json={"prompt": "hello"}, headers=headers, timeout=DEADLINE_S
    )


@pytest.mark.usefixtures("cluster")
def test_a_request_goes_through_a_pod_and_its_cost_is_known(tmp_path: Path) -> None:
    with KubernetesFleet(plan(tmp_path)) as fleet:
        answer = ask(fleet, **TRACED)
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
    assert "Uvicorn" in (tmp_path / "logs" / "agent-1.log").read_text("utf-8")


@pytest.mark.usefixtures("cluster")
def test_a_pod_that_is_killed_is_replaced_and_its_session_goes_on(tmp_path: Path) -> None:
    asked = plan(tmp_path, events=(EventSpec(action="kill", at_s=0.0),))
    session = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "s" * 40}
    with KubernetesFleet(asked) as fleet:
        assert ask(fleet, **session).status_code == 200
        fleet.begin(time.time())

        def replaced() -> bool:
            fleet.step()
            return len(fleet.containers) == 3

        until("another pod", replaced)
        assert [event.action for event in fleet.events] == ["kill"]
        dead = next(each for each in fleet.containers if each.left_s is not None)
        assert not any("shut" in line.lower() for line in fleet.log_of(dead.name)[1]), (
            "it had no time for that"
        )
        answers = [ask(fleet, **session) for _ in range(TURNS)]
        assert {answer.status_code for answer in answers} == {200}
        assert dead.address not in {answer.headers[UPSTREAM_HEADER] for answer in answers}


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("drains", [True, False])
def test_a_rolling_update_loses_no_request_unless_the_agent_drops_them(
    tmp_path: Path, *, drains: bool
) -> None:
    with KubernetesFleet(plan(tmp_path, **rolled(drains=drains))) as fleet:
        served = set(statuses(fleet))
        assert served == {200} if drains else served > {200}


def test_a_pod_that_is_evicted_as_where_a_node_is_drained_ends_the_run(
    cluster: Cluster, tmp_path: Path
) -> None:
    """What it does not answer from then on is not its fault: no verdict is made of it."""
    with KubernetesFleet(plan(tmp_path)) as fleet:
        (namespace,) = left(cluster)
        name = {"name": "agent-1", "namespace": namespace}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": name}
        cluster.call("POST", f"/api/v1/namespaces/{namespace}/pods/agent-1/eviction", json=eviction)

        def goes_on() -> bool:
            fleet.step()
            return False

        with pytest.raises(ChildDiedError, match="agent-1 was deleted by somebody, or evicted by its node"):
            until("that it is noticed", goes_on)


@pytest.mark.usefixtures("cluster")
def test_a_pod_that_cannot_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ChildDiedError, match="AGENT_CONCURRENCY_LIMIT") as caught:
        KubernetesFleet(plan(tmp_path, env={"AGENT_CONCURRENCY_LIMIT": "0"})).__enter__()
    assert caught.value.death.status == 3


@pytest.mark.usefixtures("cluster")
def test_an_image_that_is_not_there_is_told_long_before_the_deadline(tmp_path: Path) -> None:
    begun_s = time.monotonic()
    missing = AgentUnderTest(name="bot", image="127.0.0.1:1/no-such-image:1")
    with pytest.raises(StartError, match=r"The cluster has no image 127\.0\.0\.1:1/no-such-image:1"):
        KubernetesFleet(plan(tmp_path, under_test=missing)).__enter__()
    assert time.monotonic() - begun_s < plan(tmp_path).start_deadline_s


@pytest.mark.usefixtures("cluster")
def test_over_its_memory_limit_a_pod_is_killed_and_that_is_said(tmp_path: Path) -> None:
    small = AgentUnderTest(name="small", image="agentrig-agent", memory_mb=16, ready="/readyz")
    with pytest.raises(ChildDiedError, match=r"over its memory limit of 16 MiB|killed by signal 9"):
        KubernetesFleet(plan(tmp_path, under_test=small)).__enter__()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_harness_that_is_stopped_or_killed_leaves_nothing_in_the_cluster(
    cluster: Cluster, tmp_path: Path, number: signal.Signals
) -> None:
    argv = [*COMMAND, "up", "--on", "kubernetes", "--agents", "1", "--logs", str(tmp_path / "logs")]
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    with subprocess.Popen(argv, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL) as harness:
        try:
            until("a fleet", (tmp_path / "state" / "agentrig" / "up.json").exists)
            assert left(cluster)
        finally:
            harness.send_signal(number)
    until("nothing", lambda: not left(cluster), deadline_s=REMOVAL_S, poll_s=0.5)


@pytest.mark.usefixtures("cluster")
def test_an_address_that_no_pod_reaches_is_a_sentence(tmp_path: Path) -> None:
    environ = {**os.environ, "AGENTRIG_HOST_ADDRESS": "127.0.0.1"}
    with pytest.raises(StartError, match=r"reaches this machine: tried were 127\.0\.0\.1"):
        KubernetesFleet(plan(tmp_path), environ=environ).__enter__()


@pytest.mark.proof
@pytest.mark.usefixtures("cluster")
def test_an_experiment_holds_and_its_controls_are_caught(tmp_path: Path) -> None:
    argv = [*COMMAND, "run", "cold-start", "--quick", "--on", "kubernetes", "--out", str(tmp_path / "run")]
    ran = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode in {0, 2}, ran.stdout + ran.stderr
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text("utf-8"))
    assert verdict["verdict"] != "fail"
    assert json.loads((tmp_path / "run" / "plan.json").read_text("utf-8"))["on"] == "kubernetes"
