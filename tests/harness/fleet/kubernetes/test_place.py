"""The namespace of a fleet, the way between pods and this machine, and that nothing stays in the cluster."""

from pathlib import Path

import httpx
import pytest

from harness.errors import StartError
from harness.fleet.kubernetes import manifests
from harness.fleet.kubernetes.api import PATIENCE_S, ClusterError
from harness.fleet.kubernetes.namespace import OWNER
from harness.fleet.kubernetes.place import ACCOUNT_S, BENCH_NODE, MEET_S, REACH_S, START_S, Place
from harness.fleet.kubernetes.pod import Pod
from harness.fleet.kubernetes.removal import EXPIRES_LABEL, GONE_S
from harness.fleet.kubernetes.state import SCHEDULED_S
from harness.process.leftovers import FLEET_LABEL
from tests.harness.fleet.kubernetes.fake_api import HELD, HOST, NODE, FakeCluster


def filled(place: Place, name: str = "agent-1") -> None:
    place.create(name, {"A": "b", "PRICE": "$(A)", "WORD": "pa$$word$"}, memory_mb=64, cpus=0.5)


def test_a_fleet_has_a_namespace_of_its_own_that_leads_nowhere() -> None:
    fake = FakeCluster()
    with fake.place() as place:
        (namespace,) = fake.namespaces.values()
        assert namespace["metadata"]["name"] == f"agentrig-{place.name}"
        labels = namespace["metadata"]["labels"]
        assert labels[FLEET_LABEL] == place.name
        assert labels["agentrig.run"] == "a-run-1", "a label takes no spaces and slashes"
        (policy,) = fake.policies
        assert policy["spec"]["egress"] == [{"to": [{"ipBlock": {"cidr": f"{HOST}/32"}}]}]
        assert policy["spec"]["policyTypes"] == ["Egress"], "what comes in is the balancer's"
        assert (place.address, place.node) == (HOST, NODE)
    assert not fake.namespaces
    assert fake.grace["*"] == "1", "without grace a pod would be forgotten before it has ended"


def test_a_fleet_that_may_go_outside_has_no_walls() -> None:
    fake = FakeCluster()
    with fake.place(inside=False):
        assert not fake.policies


def test_a_pod_has_limits_labels_and_the_folder_that_all_share() -> None:
    fake = FakeCluster()
    with fake.place() as place:
        filled(place)
        body = fake.agents()["agent-1"]
    spec, (container,) = body["spec"], body["spec"]["containers"]
    assert body["metadata"]["labels"][FLEET_LABEL] == place.name
    assert container["resources"]["limits"] == {"memory": "64Mi", "cpu": "500m"}
    asked = {"cpu": "10m", "memory": "32Mi"}
    assert container["resources"]["requests"] == asked, "else two fill a node of two cores"
    assert {"name": "PRICE", "value": "$$(A)"} in container["env"], "it is no reference to another variable"
    assert {"name": "WORD", "value": "pa$$$$word$$"} in container["env"], "of two dollars one is left"
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert spec["restartPolicy"] == "Never", "what has died stays dead"
    assert spec["activeDeadlineSeconds"] == manifests.LIVES_S
    assert spec["shareProcessNamespace"] is True
    assert spec["automountServiceAccountToken"] is False
    (volume,) = spec["volumes"]
    assert volume["hostPath"]["path"].endswith(place.name)
    terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert terms["nodeSelectorTerms"][0]["matchFields"][0]["values"] == [NODE], "where the folder is"


def test_all_of_it_is_gone_afterwards_also_after_an_interruption() -> None:
    fake = FakeCluster()
    place = fake.place().__enter__()
    filled(place)
    place.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert not fake.namespaces
    assert not fake.pods


@pytest.mark.parametrize(
    ("fake", "said"),
    [
        (
            FakeCluster(waiting=("ErrImageNeverPull", "not present")),
            r"ErrImageNeverPull: not present.*no image",
        ),
        (FakeCluster(waiting=("ImagePullBackOff", "Back-off")), r"ImagePullBackOff.*kind load docker-image"),
        (FakeCluster(waiting=("CreateContainerError", "no such user")), "CreateContainerError: no such user"),
        (FakeCluster(unschedulable="0/1 nodes are available: Insufficient memory"), "Insufficient memory"),
        (FakeCluster(keeper_ends=128, keeper_said="no sh"), r"(?s)ended with status 128.*no sh"),
        (FakeCluster(met=frozenset(), keeper_said="agentrig: no way"), rf"tried were {HOST}"),
        (FakeCluster(refuses=("POST", "/pods")), "cannot POST"),
        (FakeCluster(refuses=("POST", "/networkpolicies")), "cannot POST"),
    ],
)
def test_a_start_that_fails_is_told_soon_and_leaves_no_namespace(fake: FakeCluster, said: str) -> None:
    before_s = fake.clock.monotonic()
    with pytest.raises(StartError, match=said):
        fake.place().__enter__()
    assert not fake.namespaces
    assert fake.clock.monotonic() - before_s < SCHEDULED_S + 5


def test_who_runs_in_a_pod_has_its_agents_beside_it_and_all_of_it_goes_with_that_pod() -> None:
    fake = FakeCluster()
    told = {"AGENTRIG_HOST_ADDRESS": HOST, OWNER: "agentrig-b1/uid-1", BENCH_NODE: "its-node"}
    with fake.place(environ=told):
        (namespace,) = fake.namespaces.values()
        keeper = fake.pods[manifests.KEEPER]
        (policy,) = fake.policies
    (egress,) = policy["spec"]["egress"]
    selected = {"matchLabels": {"kubernetes.io/metadata.name": "agentrig-b1"}}
    beside = {"podSelector": {}, "namespaceSelector": selected}
    assert egress["to"] == [{"ipBlock": {"cidr": f"{HOST}/32"}}, beside], "Cilium takes no address for a pod"
    owner = {"apiVersion": "v1", "kind": "Namespace", "name": "agentrig-b1", "uid": "uid-1"}
    assert namespace["metadata"]["ownerReferences"] == [owner]
    terms = keeper["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert terms["nodeSelectorTerms"][0]["matchFields"][0]["values"] == ["its-node"], "its cores are counted"
    with fake.place():
        assert "ownerReferences" not in next(iter(fake.namespaces.values()))["metadata"]
        assert "affinity" not in fake.pods[manifests.KEEPER]["spec"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, r"reaches this machine: .*--inside"),
        ({BENCH_NODE: "n"}, r"reaches the pod of the bench: .*policy"),
    ],
)
def test_a_way_that_is_barred_is_told_with_what_helps(given: dict[str, str], said: str) -> None:
    told = {"AGENTRIG_HOST_ADDRESS": HOST, **given}
    fake = FakeCluster(met=frozenset(), keeper_said="agentrig: no way")
    with pytest.raises(StartError, match=said):
        fake.place(environ=told).__enter__()
    with pytest.raises(StartError, match=said.replace("reaches", "not reached from")):
        FakeCluster().place(environ=told, reached=lambda _, __: False).__enter__()


def test_a_keeper_that_says_nothing_is_not_waited_for_long() -> None:
    fake = FakeCluster(met=frozenset(), keeper_said="")
    with pytest.raises(StartError, match="reaches this machine"):
        fake.place().__enter__()
    assert MEET_S <= fake.clock.monotonic() < MEET_S + 5


def test_pods_that_are_not_reached_from_here_are_a_sentence() -> None:
    fake = FakeCluster()
    with pytest.raises(StartError, match=r"not reached from this machine: nothing answers at 10\.244\.0\.2"):
        fake.place(reached=lambda _, __: False).__enter__()
    assert fake.clock.monotonic() <= REACH_S + 5
    assert not fake.namespaces


def test_the_address_nearest_to_the_node_is_taken_of_those_that_were_met() -> None:
    fake = FakeCluster(met=frozenset({"10.0.0.7", HOST}))
    with fake.place() as place:
        assert place.address == HOST
    with fake.place(towards=lambda _: "10.9.9.9") as place:
        assert place.address == "10.0.0.7"


def test_an_image_without_anything_to_try_with_is_told_and_goes_on() -> None:
    fake, said = FakeCluster(met=frozenset(), keeper_said="agentrig: no tool"), list[str]()
    with fake.place(tell=said.append) as place:
        assert place.address == HOST
    assert "nothing to try the way with" in said[0]
    with fake.place(towards=lambda _: "10.9.9.9") as place:
        assert place.address == HOST, "of those that it has"


def test_a_namespace_that_was_refused_is_not_looked_for() -> None:
    fake, said = FakeCluster(refuses=("POST", "/namespaces")), list[str]()
    with pytest.raises(ClusterError, match="cannot POST"):
        fake.place(tell=said.append).__enter__()
    assert not [each for each in fake.asked if each.startswith("DELETE")]
    assert not said


def test_a_namespace_whose_answer_was_lost_is_removed() -> None:
    fake = FakeCluster()
    place = fake.place()
    made = fake.answer

    def lost(request: httpx.Request) -> httpx.Response:
        answer = made(request)
        if request.method == "POST":
            raise httpx.ReadError("reset by peer")
        return answer

    place.cluster._client = httpx.Client(base_url="https://c.test", transport=httpx.MockTransport(lost))
    with pytest.raises(ClusterError, match="does not answer"):
        place.__enter__()
    assert not fake.namespaces


def test_a_namespace_whose_answer_was_lost_once_is_the_one_that_was_made() -> None:
    fake = FakeCluster(done_but_lost=1)
    with fake.place() as place:
        (namespace,) = fake.namespaces.values()
        assert place._home.uid == namespace["metadata"]["uid"]
    assert not fake.namespaces


def test_a_namespace_whose_answer_was_lost_and_that_may_not_be_read_is_removed() -> None:
    fake = FakeCluster(done_but_lost=1)
    place = fake.place()
    fake.refuses = ("GET", place.namespace)
    with pytest.raises(ClusterError, match="cannot GET"):
        place.__enter__()
    assert not fake.namespaces


def test_a_namespace_that_has_no_account_yet_is_waited_for() -> None:
    fake = FakeCluster(account_after=3)
    with fake.place():
        assert fake.pods
    fake = FakeCluster(account_after=10_000)
    with pytest.raises(ClusterError, match='serviceaccount "default" not found'):
        fake.place().__enter__()
    assert ACCOUNT_S <= sum(fake.clock.slept) < ACCOUNT_S + 5


def test_a_cluster_that_is_away_for_a_moment_does_not_end_a_run() -> None:
    fake = FakeCluster()
    with fake.place() as place:
        filled(place)
        assert place.state("agent-1") is not None
        fake.clock.sleep(PATIENCE_S + 1)  # in which nobody looked
        fake.silent = httpx.ConnectError("refused")
        assert place.state("agent-1") is not None, "as it was last known"
        fake.clock.sleep(PATIENCE_S - 1)
        assert place.state("agent-1") is not None
        fake.clock.sleep(2)
        with pytest.raises(ClusterError, match="does not answer"):
            place.state("agent-1")
        fake.silent = None


def test_a_pod_that_was_just_made_is_not_gone_where_the_next_look_fails(tmp_path: Path) -> None:
    fake = FakeCluster()
    with fake.place() as place:
        made = Pod("agent-1", {}, place, log=tmp_path / "log", memory_mb=64, cpus=1, clock=fake.clock)
        made.start()
        fake.silent, fake.silent_for = httpx.ConnectError("refused"), 1
        assert made.poll() is None


def test_what_is_made_while_the_cluster_is_away_for_a_moment_is_made_once() -> None:
    fake = FakeCluster()
    with fake.place() as place:
        fake.silent, fake.silent_for = httpx.ConnectError("refused"), 8
        filled(place)
        assert list(fake.agents()) == ["agent-1"]
        fake.refused_once = (409, "Conflict", "the object has been modified")
        filled(place, "agent-2")
        fake.refused_once = (500, "InternalError", 'failed calling webhook "a.b"')
        filled(place, "agent-3")
        fake.done_but_lost = 1
        filled(place, "agent-4")
        assert len(fake.agents()) == 4
        with pytest.raises(ClusterError, match="already exists"):
            filled(place, "agent-4")
        fake.silent, fake.silent_for = httpx.ConnectError("refused"), 8
    assert not fake.namespaces, "its removal was as patient"


def test_once_a_cluster_was_away_for_too_long_nothing_is_waited_for_any_more() -> None:
    fake, said = FakeCluster(), list[str]()
    place = fake.place(tell=said.append).__enter__()
    fake.silent = httpx.ConnectError("refused")
    with pytest.raises(ClusterError, match="does not answer"):
        filled(place)
    assert PATIENCE_S <= sum(fake.clock.slept[-40:]) < PATIENCE_S + 5
    before_s = fake.clock.monotonic()
    for number in range(8):
        with pytest.raises(ClusterError, match="does not answer"):
            place.remove(f"agent-{number}")
    place.__exit__(ValueError, ValueError(), None)
    assert fake.clock.monotonic() == before_s
    assert "is still in the cluster" in said[-1]


@pytest.mark.parametrize("how", ["deleted", "leaving", "evicted"])
def test_a_keeper_that_goes_ends_the_run_for_it_takes_the_sessions_along(how: str) -> None:
    fake = FakeCluster()
    with fake.place() as place:
        place.check()
        keeper = fake.pods[manifests.KEEPER]
        if how == "deleted":
            del fake.pods[manifests.KEEPER]
        elif how == "leaving":
            keeper["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        else:
            keeper["status"] = {"phase": "Failed", "reason": "Evicted", "message": "DiskPressure"}
        fake.clock.sleep(1)
        said = "DiskPressure Evicted" if how == "evicted" else "keeper"
        with pytest.raises(StartError, match=rf"{said}.*in which all agents have their sessions"):
            place.check()


def test_a_keeper_that_never_runs_is_not_waited_for_for_ever() -> None:
    fake = FakeCluster(waiting=("ContainerCreating", "network plugin is not ready"))
    with pytest.raises(StartError, match=r"keeper does not run after .* network plugin is not ready"):
        fake.place().__enter__()
    assert START_S <= fake.clock.monotonic() < START_S + 5
    assert not fake.namespaces


def test_a_namespace_may_have_pods_with_a_folder_of_the_node_whatever_is_usual_there() -> None:
    fake = FakeCluster()
    with fake.place():
        (namespace,) = fake.namespaces.values()
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"


def test_what_somebody_else_forgot_and_does_not_go_is_no_reason_not_to_start() -> None:
    fake = FakeCluster(refuses=("DELETE", "/agentrig-old"))
    labels = {FLEET_LABEL: "old", EXPIRES_LABEL: "1"}
    fake.namespaces["agentrig-old"] = {"metadata": {"name": "agentrig-old", "labels": labels}}
    with fake.place():
        assert "agentrig-old" in fake.namespaces


def test_one_look_tells_of_all_pods_for_a_moment() -> None:
    fake = FakeCluster()
    with fake.place() as place:
        filled(place)
        place.state("agent-1")
        asked = len(fake.asked)
        for _ in range(5):
            place.state("agent-1")
        assert len(fake.asked) == asked
        fake.clock.sleep(1)
        fake.pods.pop("agent-1")
        assert place.state("agent-1") is None


def test_a_namespace_that_does_not_go_is_told_with_what_to_do() -> None:
    fake = FakeCluster()
    place = fake.place().__enter__()
    fake.stuck = True
    with pytest.raises(StartError, match=rf"{HELD}.*kubectl delete namespace agentrig-{place.name}"):
        place.__exit__(None, None, None)
    assert fake.clock.monotonic() >= GONE_S


def test_why_it_ended_counts_more_than_what_is_still_there() -> None:
    fake, said = FakeCluster(), list[str]()
    place = fake.place(tell=said.append).__enter__()
    fake.silent = httpx.ConnectError("refused")
    why = ValueError("why it ended")
    place.__exit__(ValueError, why, None)
    assert "is still in the cluster" in said[-1]


@pytest.mark.parametrize(("ahead_s", "left"), [(-60, False), (60, True)])
def test_what_was_forgotten_is_removed_by_who_comes_next(ahead_s: float, *, left: bool) -> None:
    fake = FakeCluster()
    labels = {FLEET_LABEL: "old", EXPIRES_LABEL: str(int(fake.clock.now() + ahead_s))}
    fake.namespaces["agentrig-old"] = {"metadata": {"name": "agentrig-old", "labels": labels}}
    fake.namespaces["somebodys"] = {"metadata": {"name": "somebodys", "labels": {EXPIRES_LABEL: "1"}}}
    with fake.place():
        assert ("agentrig-old" in fake.namespaces) == left
        assert "somebodys" in fake.namespaces, "it has no fleet's label"


def test_cpu_and_memory_are_the_kubelets_count_where_it_may_be_asked() -> None:
    fake = FakeCluster()
    with fake.place() as place:
        filled(place)
        assert place.usage() == {"agent-1": (2.5, 40.0)}, "of this namespace alone, and of what is counted"
    fake = FakeCluster(counts=False)
    with fake.place() as place:
        filled(place)
        assert place.usage() == {}
