"""A bench in a cluster: what it tells arrives here, its folder too, and nothing of it stays there."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from harness import __version__
from harness.errors import InputError, StartError
from harness.fleet.kubernetes.api import PATIENCE_S, ClusterError
from harness.fleet.kubernetes.inside.bench import MOST_BYTES, NO_POD_S, START_S, TRIES, Task
from harness.fleet.kubernetes.inside.errand import ALIVE, BEGUN, ENDED, sign
from harness.fleet.kubernetes.inside.following import LOST_S
from harness.fleet.kubernetes.inside.parcel import pack
from harness.fleet.kubernetes.removal import EXPIRES_LABEL
from harness.fleet.kubernetes.state import SCHEDULED_S
from harness.process.leftovers import FLEET_LABEL
from tests.harness.fleet.kubernetes.fake_api import ended
from tests.harness.fleet.kubernetes.inside.fake_bench import POD, FakeBench

CALIBRATED = "a request costs 12 ms here"


def ran(
    tmp_path: Path, *, status: int = 0, asked: bool = False, version: str = __version__, **given: object
) -> FakeBench:
    """Return a cluster in which a run has come to its end, whose folder can be fetched."""
    folder = tmp_path / "there"
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    (folder / "verdict.json").write_bytes(bytes(range(256)) * 20_000)
    parcel = pack(folder, tmp_path / "packed")
    told = {"size": parcel.size, "sha256": parcel.sha256}

    def printed(mark: str) -> list[str]:
        end = sign(mark, ENDED, status=status, asked=asked, parcel=told)
        return [sign(mark, BEGUN, version=version), CALIBRATED, sign(mark, ALIVE), "agentrig-other {}", end]

    brings = (tmp_path / "packed").read_bytes()
    return FakeBench(printed=printed, brings=brings, **given)  # type: ignore[arg-type]  # its fields


def came(tmp_path: Path) -> bool:
    there, here = tmp_path / "there" / "verdict.json", tmp_path / "here" / "verdict.json"
    return here.is_file() and here.read_bytes() == there.read_bytes()


def run(fake: FakeBench, tmp_path: Path, said: list[str] | None = None) -> tuple[int, list[str]]:
    into, lines = tmp_path / "here", list[str]()
    into.mkdir(exist_ok=True)
    with fake.bench(said=said) as bench:
        return bench.run(into, lines.append), lines


@pytest.mark.parametrize("status", [0, 1, 2, 3, 4, 5, -9])
def test_its_lines_its_folder_and_its_exit_status_come_here(tmp_path: Path, status: int) -> None:
    fake = ran(tmp_path, status=status)
    assert run(fake, tmp_path) == (status, [CALIBRATED, "agentrig-other {}"])
    assert came(tmp_path)
    assert fake.thanked == 1, "its pod waits for nobody any more"
    assert not fake.namespaces


def test_all_that_is_made_is_of_one_namespace_and_goes_with_it(tmp_path: Path) -> None:
    fake = ran(tmp_path)
    task = Task(words=("run",), folder="run", files={"agent/bot/agentrig.toml": b"[agent]"}, env={"KEY": "v"})
    with fake.bench(task):
        (namespace,) = fake.namespaces.values()
        labels = namespace["metadata"]["labels"]
        assert labels["agentrig.run"] == "r1"
        assert {FLEET_LABEL, EXPIRES_LABEL} <= set(labels), "who comes next finds what was forgotten"
        owner = fake.created["clusterrolebindings"]["metadata"]["ownerReferences"][0]
        assert owner["uid"] == namespace["metadata"]["uid"]
        assert fake.given() == {"file-0": b"[agent]", "env.KEY": b"v"}
        assert "[agent]" not in str(fake.created["jobs"]), "a description holds keys now and then"
    assert not fake.namespaces


def test_what_its_run_has_up_goes_with_it(tmp_path: Path) -> None:
    fake = ran(tmp_path)
    with fake.bench():
        labels = {FLEET_LABEL: "f1", EXPIRES_LABEL: "9999999999"}
        mine = {"ownerReferences": [{"name": fake.namespace}]}
        for name, more in (("agentrig-f1", mine), ("agentrig-f2", {})):
            fake.namespaces[name] = {"metadata": {"name": name, "labels": labels, **more}}
    assert list(fake.namespaces) == ["agentrig-f2"], "which is another's"


@pytest.mark.parametrize(
    ("fake", "said"),
    [
        (FakeBench(role=False), r"no ClusterRole agentrig.*kubectl apply -f .*role\.yaml"),
        (FakeBench(waiting=("ErrImageNeverPull", "not present")), r"no image agentrig-harness: .*kind load"),
        (FakeBench(waiting=("RunContainerError", "python3: not found")), "python3: not found"),
        (
            FakeBench(unschedulable="0/3 nodes are available: Insufficient cpu"),
            r"Insufficient cpu\. Make room, or take a larger node",
        ),
        (
            FakeBench(forbids='pods "bench-" is forbidden: failed quota: must specify limits.cpu'),
            r"has no pod after 2\d s: pods \"bench-\" is forbidden: failed quota: must .*limits\.cpu\.$",
        ),
        (FakeBench(no_exec=True), "a command in pod .* forbidden"),
        (FakeBench(exec_after=10_000), "a command in pod .* container not found"),
        (FakeBench(added="a-mesh"), r"the cluster adds a-mesh to each pod, such as that of the bench"),
        *(
            (FakeBench(refuses=("POST", f"/{kind}")), "cannot POST .* which rights")
            for kind in ("namespaces", "serviceaccounts", "clusterrolebindings", "secrets", "jobs")
        ),
    ],
)
def test_a_start_that_fails_is_told_soon_and_leaves_nothing(fake: FakeBench, said: str) -> None:
    with pytest.raises(StartError, match=said):
        fake.bench().__enter__()
    assert not fake.namespaces
    assert fake.clock.monotonic() < max(NO_POD_S, SCHEDULED_S, PATIENCE_S) + 5


def test_a_pod_that_never_runs_is_not_waited_for_for_ever() -> None:
    fake = FakeBench(waiting=("ContainerCreating", ""))
    with pytest.raises(StartError, match=r"does not run after 6\d\d s: the cluster does not say why"):
        fake.bench().__enter__()
    assert START_S <= fake.clock.monotonic() < START_S + 5
    assert not fake.namespaces


def test_who_may_not_look_at_the_role_is_no_worse_off(tmp_path: Path) -> None:
    fake = ran(tmp_path, refuses=("GET", "/agentrig"))
    assert run(fake, tmp_path)[0] == 0


def test_what_is_too_large_is_said_before_anything_is_made() -> None:
    fake = FakeBench()
    with pytest.raises(InputError, match="Give fewer prompts"):
        fake.bench(Task(words=(), folder="run", files={"a": b"x" * (MOST_BYTES + 1)})).__enter__()
    assert not fake.asked


def test_connections_that_are_lost_meanwhile_cost_nothing(tmp_path: Path) -> None:
    fake = ran(tmp_path, breaks=3, cut=4, short=2)
    assert run(fake, tmp_path) == (0, [CALIBRATED, "agentrig-other {}"])
    assert came(tmp_path)


def test_a_way_back_that_is_not_there_at_once_is_waited_for(tmp_path: Path) -> None:
    fake = ran(tmp_path, exec_after=3)
    assert run(fake, tmp_path)[0] == 0


def test_what_the_node_says_in_a_log_ends_no_run(tmp_path: Path) -> None:
    fake = ran(tmp_path, grumbles="failed to create fsnotify watcher: too many open files\n")
    whole, looks = fake.printed, iter(range(9))
    fake.printed = lambda mark: whole(mark)[: 2 * next(looks)]
    assert run(fake, tmp_path) == (0, [fake.grumbles.strip(), CALIBRATED, "agentrig-other {}"])


@pytest.mark.parametrize("told", [{}, {"parcel": 3}, {"parcel": {"size": 1}, "status": 0}])
def test_an_image_of_another_agentrig_that_tells_its_end_in_other_words_is_a_sentence(
    tmp_path: Path, told: dict[str, object]
) -> None:
    fake = FakeBench(printed=lambda mark: [sign(mark, BEGUN, version="0.0.1"), sign(mark, ENDED, **told)])
    with pytest.raises(StartError, match=r"words of another agentrig; here it is .*harness\.Dockerfile"):
        run(fake, tmp_path)
    assert not fake.namespaces


def test_a_cluster_that_stays_away_is_told_with_what_becomes_of_the_run(tmp_path: Path) -> None:
    fake, said = ran(tmp_path), list[str]()
    bench = fake.bench(said=said).__enter__()
    fake.silent = httpx.ConnectError("no route to host")
    with pytest.raises(
        StartError, match=r"not heard of for 5 min: .*no route.*it removes that itself"
    ) as why:
        bench.run(tmp_path / "here", lambda _: None)
    assert fake.clock.monotonic() >= LOST_S
    bench.__exit__(StartError, why.value, None)
    assert "is still in the cluster" in said[-1]


def test_a_folder_that_does_not_come_is_no_verdict(tmp_path: Path) -> None:
    fake = ran(tmp_path, short=TRIES)
    with pytest.raises(StartError, match=r"can't be fetched from bench-.*: of \d+ bytes \d+ came"):
        run(fake, tmp_path)
    fake = ran(tmp_path)
    fake.brings = fake.brings[:-1] + bytes([fake.brings[-1] ^ 1])
    with pytest.raises(StartError, match="checksum"):
        run(fake, tmp_path)
    assert not came(tmp_path)
    assert not fake.namespaces


def gone(fake: FakeBench) -> None:
    fake.pods.clear()


def killed(fake: FakeBench) -> None:
    fake.pods[POD]["status"] |= ended(137, "Error")


def over_memory(fake: FakeBench) -> None:
    fake.pods[POD]["status"] |= ended(137, "OOMKilled")


def evicted(fake: FakeBench) -> None:
    fake.pods[POD]["status"] = {
        "phase": "Failed",
        "reason": "Evicted",
        "message": "The node was low on memory",
    }


@pytest.mark.parametrize(
    ("befalls", "said"),
    [
        (gone, r"the pod of the bench, bench-\w+, is gone: somebody deleted it"),
        (killed, rf"(?s)ended with status 137 before its run had\. Its last lines:.*{CALIBRATED}"),
        (over_memory, "the kernel ended it.*too little memory"),
        (evicted, r"The node was low on memory Evicted"),
    ],
)
def test_what_ends_the_pod_in_mid_run_is_told(
    tmp_path: Path, befalls: Callable[[FakeBench], None], said: str
) -> None:
    fake = FakeBench(printed=lambda mark: [sign(mark, BEGUN, version=__version__), CALIBRATED])
    looks = iter(range(10))
    fake.on_log = lambda: befalls(fake) if next(looks) == 2 else None
    with pytest.raises(StartError, match=said):
        run(fake, tmp_path)
    assert not fake.namespaces


def test_a_pod_that_is_asked_to_end_brings_what_it_has_and_is_no_verdict(tmp_path: Path) -> None:
    fake = ran(tmp_path, status=130, asked=True)
    with pytest.raises(StartError, match=r"was asked to end while it ran: somebody deleted it, or its node"):
        run(fake, tmp_path)
    assert came(tmp_path)
    assert run(ran(tmp_path, status=1, asked=True), tmp_path)[0] == 1, "it had ended by itself meanwhile"


def test_an_image_without_the_errand_is_told_with_its_last_words(tmp_path: Path) -> None:
    why = "/usr/local/bin/python3: No module named harness.fleet.kubernetes.inside"
    fake = FakeBench(ends_with=1, printed=lambda _: [why])
    with pytest.raises(StartError, match=rf"(?s)ended with status 1.*{why}.*harness\.Dockerfile"):
        run(fake, tmp_path)
    assert not fake.namespaces


def test_another_version_in_the_image_is_said(tmp_path: Path) -> None:
    said = list[str]()
    run(ran(tmp_path, version="0.0.1"), tmp_path, said)
    assert f"the image agentrig-harness has agentrig 0.0.1; here it is {__version__}" in said
    said.clear()
    run(ran(tmp_path), tmp_path, said)
    assert not [line for line in said if "here it is" in line]


def test_an_interruption_lets_the_run_end_first_and_brings_what_it_has(tmp_path: Path) -> None:
    fake, lines = ran(tmp_path, status=130, asked=True), list[str]()
    whole = fake.printed
    fake.printed = lambda mark: [*whole(mark)[:2], "its fleet goes", whole(mark)[-1]]
    (tmp_path / "here").mkdir()

    def say(line: str) -> None:
        lines.append(line)
        if line == CALIBRATED:
            raise KeyboardInterrupt

    asked_before = list[bool]()
    answer = fake.answer

    def seen(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE" and request.url.path.endswith(POD):
            asked_before.append(bool(fake.namespaces))
            assert "gracePeriodSeconds" not in request.url.params, "it has the time that its pod says"
            return httpx.Response(200, json={})  # it goes when it is done
        return answer(request)

    fake.answer = seen  # type: ignore[method-assign]  # of this one alone
    with pytest.raises(KeyboardInterrupt), fake.bench() as bench:
        bench.run(tmp_path / "here", say)
    assert asked_before == [True]
    assert lines == [CALIBRATED, "its fleet goes"], "what was told is not told again"
    assert came(tmp_path)
    assert not fake.namespaces


def test_an_interruption_of_a_cluster_that_refuses_is_one_all_the_same(tmp_path: Path) -> None:
    fake, said = ran(tmp_path, refuses=("DELETE", f"/{POD}")), list[str]()

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), fake.bench(said=said) as bench:
        bench.run(tmp_path / "here", interrupt)
    assert "cannot DELETE" in said[-1]
    assert not fake.namespaces


def test_a_namespace_whose_answer_was_lost_is_removed(tmp_path: Path) -> None:
    fake = ran(tmp_path)
    answer = fake.answer

    def lost(request: httpx.Request) -> httpx.Response:
        found = answer(request)
        if request.method == "POST" and request.url.path.endswith("/jobs"):
            raise httpx.ReadError("reset by peer")
        return found

    fake.answer = lost  # type: ignore[method-assign]  # of this one alone
    with pytest.raises(ClusterError, match="does not answer"):
        fake.bench().__enter__()
    assert not fake.namespaces


def test_a_refusal_while_it_is_followed_is_told(tmp_path: Path) -> None:
    fake = ran(tmp_path, refuses=("GET", "/log"))
    with pytest.raises(ClusterError, match="log is forbidden"):
        run(fake, tmp_path)
    assert not fake.namespaces
