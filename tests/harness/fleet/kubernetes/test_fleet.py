"""What a pod is told, when its address is known, and which fleets there can be of pods."""

from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.clock import FakeClock
from harness.errors import ChildDiedError, InputError, StartError
from harness.fence import FENCE, HOME
from harness.fleet.commands import FleetAddresses
from harness.fleet.kubernetes.fleet import KubernetesFleet, PodContainers
from harness.fleet.kubernetes.place import Place
from harness.fleet.local.processes import Processes
from harness.fleet.opening import placed, require
from harness.fleet.ports import Ports
from harness.fleet.surroundings import Surroundings
from harness.fleet.where import Where
from harness.records.setup import Container
from harness.records.spec import EventSpec, FleetSpec, Policy
from harness.under_test import AgentUnderTest
from tests.harness.fleet.docker.test_fleet import OWN, plan
from tests.harness.fleet.kubernetes.fake_api import HOST, FakeCluster

WIRING = FleetAddresses(
    experiment="an-experiment",
    arm="an-arm",
    capture=1,
    simulator=2,
    mcp=3,
    outside=4,
    host=HOST,
    inherited={"PATH": "/of/this/machine"},
    token="a-token",
)


def containers(fake: FakeCluster, place: Place, folder: Path, **changed: Any) -> PodContainers:
    asked = plan(folder, **changed)
    return PodContainers(
        asked,
        place=place,
        clock=fake.clock,
        ports=Ports(),
        processes=Processes(folder, fake.clock),
        balancers=SimpleNamespace(),
        surroundings=Surroundings(asked, WIRING, ports=Ports(), clock=FakeClock()),
        client=None,
    )


def told(folder: Path, **changed: Any) -> dict[str, str]:
    """Return the environment of a first pod."""
    fake = FakeCluster()
    with fake.place() as place, ExitStack() as stack:
        (first,), _ = containers(fake, place, folder, **changed).launch(stack, 1)
        assert (first.name, first.address) == ("agent-1", "10.244.0.3:8080")
        (container,) = fake.agents()["agent-1"]["spec"]["containers"]
        return {each["name"]: each["value"] for each in container["env"]}


def test_the_reference_agent_finds_at_this_machine_what_it_calls(tmp_path: Path) -> None:
    env = told(tmp_path)
    assert env["OPENAI_BASE_URL"] == f"http://{HOST}:2/v1"
    assert env["MCP_SERVER_URL"] == f"http://{HOST}:3/mcp"
    assert env["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://{HOST}:1"
    assert (env["HOST"], env["PORT"]) == ("0.0.0.0", "8080")
    assert env["AGENT_SESSION_STORE"] == "sqlite:////agentrig/sessions.db"
    assert "PATH" not in env
    assert "a-token" not in env.values(), "the control of the simulator is not the pods'"


def test_an_image_of_a_user_is_fenced_and_has_its_own_home(tmp_path: Path) -> None:
    env = told(tmp_path, under_test=OWN)
    assert (env["PORT"], env["DB"], env["URL"]) == ("8080", "/agentrig/sessions.db", f"http://{HOST}:2")
    assert FENCE.keys() - env.keys() == {HOME}
    assert HOST in env["NO_PROXY"].split(",")


def test_all_are_made_before_any_is_waited_for(tmp_path: Path) -> None:
    fake = FakeCluster()
    with fake.place() as place, ExitStack() as stack:
        there, targets = containers(fake, place, tmp_path).launch(stack, 3)
        made = [each for each in fake.asked if each.startswith("POST") and each.endswith("/pods")]
        assert len(made) == 4, "the keeper's, too"
        assert [each.name for each in there] == ["agent-1", "agent-2", "agent-3"]
        assert [each.url for each in targets] == [f"http://{c.address}/readyz" for c in there]
    assert not fake.pods


def test_one_that_ends_or_cannot_start_ends_the_wait_for_addresses(tmp_path: Path) -> None:
    fake = FakeCluster()
    with fake.place() as place:
        fake.waiting = ("ErrImagePull", "no such host")
        with ExitStack() as stack, pytest.raises(StartError, match="ErrImagePull"):
            containers(fake, place, tmp_path).launch(stack, 2)
        fake.waiting = None
        fake.dead_at_once = 3
        with ExitStack() as stack:
            agents = containers(fake, place, tmp_path)
            _, (target,) = agents.launch(stack, 1)
            assert target.process.poll() is not None, "it has an address, and has ended"
            with pytest.raises(ChildDiedError, match="exit"):
                agents.is_ready(Container(name="agent-1", address=""), 0.0)


def test_one_without_an_address_is_not_ready_and_in_the_end_a_sentence(tmp_path: Path) -> None:
    fake = FakeCluster()
    with fake.place() as place, ExitStack() as stack:
        agents = containers(fake, place, tmp_path)
        agents.launch(stack, 1)
        fake.waiting = ("ContainerCreating", "")
        late = agents.start()
        assert not agents.is_ready(late, 1.0)
        with pytest.raises(StartError, match="agent-2 has no address after 180 s"):
            agents.is_ready(late, 181.0)
        assert agents.located(Container(name="agent-1", address="")).address == "10.244.0.3:8080"


@pytest.mark.parametrize(
    ("fleet", "own", "why"),
    [
        (None, AgentUnderTest(name="bot", argv=("bot",)), "has no image"),
        (FleetSpec(store="redis"), None, "processes alone"),
        (FleetSpec(restored=True), OWN, "processes alone"),
    ],
)
def test_what_can_be_no_fleet_of_pods_is_refused(
    fleet: FleetSpec | None, own: AgentUnderTest | None, why: str
) -> None:
    with pytest.raises(InputError, match=f"--on kubernetes:here: {why}|--on kubernetes:here: .*{why}"):
        require(Where.parse("kubernetes:here"), "an-experiment", fleet, own)
    require(Where.KUBERNETES, "an-experiment", FleetSpec(), OWN)


def test_a_command_is_no_pod(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give an image"):
        KubernetesFleet(plan(tmp_path, agent_command=("an-agent",)), cluster=FakeCluster().cluster())


def test_a_pod_can_be_killed() -> None:
    assert placed(OWN, Where.KUBERNETES).killable


def made_pod(folder: Path, **given: Any) -> dict[str, Any]:
    """Return what a first pod is in the cluster, in a place as `given` says."""
    fake = FakeCluster()
    with fake.place(**given) as place, ExitStack() as stack:
        containers(fake, place, folder).launch(stack, 1)
        found: dict[str, Any] = fake.agents()["agent-1"]["spec"]
        return found


def test_a_pod_has_the_time_to_end_that_the_events_say_and_nobody_else_ends_it(tmp_path: Path) -> None:
    assert made_pod(tmp_path)["terminationGracePeriodSeconds"] == 30
    assert made_pod(tmp_path, grace_s=90)["terminationGracePeriodSeconds"] == 90
    fake = FakeCluster()
    with fake.place() as place, ExitStack() as stack:
        agents = containers(fake, place, tmp_path)
        agents.launch(stack, 1)
        agents.stop("agent-1")
        assert fake.grace["agent-1"] is None, "the time that its pod says"
        executed = list(fake.executed)
        agents.end("agent-1")
        assert fake.executed == executed, "the kubelet does it, and a command would find nothing any more"


def test_the_kubelet_asks_whether_a_pod_is_ready_only_where_somebody_looks_at_that(tmp_path: Path) -> None:
    assert "readinessProbe" not in made_pod(tmp_path)["containers"][0]
    probe = made_pod(tmp_path, probed="/readyz")["containers"][0]["readinessProbe"]
    assert probe["httpGet"] == {"path": "/readyz", "port": "http"}
    assert (probe["periodSeconds"], probe["failureThreshold"]) == (1, 1)


@pytest.mark.parametrize(
    ("policy", "own", "path"),
    [
        (Policy.BUSY_AWARE, None, ""),
        (Policy.READINESS, None, "/readyz"),
        (Policy.READINESS, OWN, OWN.ready),
    ],
)
def test_a_fleet_tells_its_place_what_the_plan_asks_for(
    policy: Policy, own: AgentUnderTest | None, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, Any] = {}

    def place(*_: Any, **given: Any) -> Any:
        found.update(given)
        return nullcontext(SimpleNamespace(address=HOST))

    monkeypatch.setattr("harness.fleet.kubernetes.fleet.Place", place)
    events = (EventSpec(action="replace", at_s=1.0, grace_s=59.5),)
    asked = plan(tmp_path, policy=policy, under_test=own, events=events)
    with ExitStack() as stack:
        KubernetesFleet(asked, cluster=FakeCluster().cluster())._settle(stack)
    assert (found["probed"], found["grace_s"]) == (path, 60)
