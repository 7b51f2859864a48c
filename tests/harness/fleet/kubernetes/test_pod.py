"""One pod, as a fleet starts, watches, signals and ends it."""

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from harness.errors import ChildDiedError, StartError
from harness.fleet.kubernetes import heard
from harness.fleet.kubernetes.api import FORBIDDEN, PATIENCE_S, ClusterError, Ran
from harness.fleet.kubernetes.place import Place
from harness.fleet.kubernetes.pod import Pod
from harness.outside.secrets import remember
from tests.e2e.waiting import until
from tests.harness.fleet.kubernetes.fake_api import STAMP, FakeCluster, ended


@pytest.fixture
def fake() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def place(fake: FakeCluster) -> Iterator[Place]:
    with fake.place() as made:
        yield made


def pod(fake: FakeCluster, place: Place, folder: Path) -> Pod:
    log = folder / "logs" / "agent-1.log"
    return Pod("agent-1", {}, place, log=log, memory_mb=64, cpus=1, clock=fake.clock)


@pytest.fixture
def started(fake: FakeCluster, place: Place, tmp_path: Path) -> Pod:
    made = pod(fake, place, tmp_path)
    made.start()
    return made


def test_one_that_runs_has_an_address_and_is_not_dead(started: Pod) -> None:
    assert started.address == "10.244.0.3:8080"
    assert started.poll() is None


def test_one_that_ends_at_once_is_told_with_what_it_said(
    fake: FakeCluster, place: Place, tmp_path: Path
) -> None:
    fake.dead_at_once = 3
    made = pod(fake, place, tmp_path)
    made.start()
    death = made.poll()
    assert death is not None
    assert (death.name, death.status, death.last_lines) == ("agent-1", 3, ("one", "two"))


def test_over_its_memory_limit_it_is_said_to_be(fake: FakeCluster, place: Place, tmp_path: Path) -> None:
    fake.dead_at_once, fake.over_memory = 137, True
    made = pod(fake, place, tmp_path)
    made.start()
    with pytest.raises(ChildDiedError, match="over its memory limit of 64 MiB") as caught:
        made.check()
    assert caught.value.death.status == -9


@pytest.mark.parametrize("reason", ["ErrImageNeverPull", "ImagePullBackOff"])
def test_one_that_cannot_start_is_told_at_once(
    fake: FakeCluster, place: Place, tmp_path: Path, reason: str
) -> None:
    fake.waiting = (reason, "no such image")
    made = pod(fake, place, tmp_path)
    made.start()
    with pytest.raises(StartError, match=f"agent-1 can't start: {reason}: no such image"):
        made.poll()


def test_sigkill_is_a_kill_and_no_deletion(fake: FakeCluster, started: Pod) -> None:
    started.send(signal.SIGKILL)
    assert fake.executed == [("agent-1", "kill -KILL -1")]
    assert "agent-1" not in fake.grace, "a pod that is deleted gets SIGTERM first, whatever its grace"
    fake.clock.sleep(1)
    death = started.poll()
    assert death is not None
    assert death.status == -9


def test_a_kill_whose_answer_is_lost_is_sent_again_until_it_is_dead(
    fake: FakeCluster, place: Place, started: Pod
) -> None:
    sent = list[str]()

    def lost(namespace: str, name: str, command: Sequence[str]) -> Ran:
        sent.append(name)
        fake.execute(namespace, name, command)
        raise ClusterError("the connection broke", 0)

    place.cluster.execute = lost
    started.send(signal.SIGKILL)
    assert started.poll() is not None
    assert len(sent) <= 2


@pytest.mark.parametrize(("status", "tries"), [(1, 30), (0, 1)])
def test_a_signal_that_did_not_arrive_is_not_taken_for_one_that_did(
    place: Place, started: Pod, status: int, tries: int
) -> None:
    sent = list[str]()

    def refused(_: str, name: str, __: Sequence[str]) -> Ran:
        sent.append(name)
        return Ran(status, b"")

    place.cluster.execute = refused
    if status:
        with pytest.raises(ClusterError, match="kill -STOP -1 in pod agent-1 ended with status 1"):
            started.send(signal.SIGSTOP)
    else:
        started.send(signal.SIGSTOP)
    assert len(sent) <= tries + 1


def test_a_signal_that_is_forbidden_is_told_at_once(fake: FakeCluster, place: Place, started: Pod) -> None:
    def refused(_: str, __: str, ___: Sequence[str]) -> Ran:
        raise ClusterError("pods/exec is forbidden", FORBIDDEN)

    place.cluster.execute = refused
    before_s = fake.clock.monotonic()
    with pytest.raises(ClusterError, match="pods/exec is forbidden"):
        started.send(signal.SIGKILL)
    assert fake.clock.monotonic() == before_s


def test_one_that_has_ended_needs_no_signal(fake: FakeCluster, started: Pod) -> None:
    fake.pods["agent-1"]["status"] |= ended(1, "Error")
    fake.clock.sleep(1)
    started.send(signal.SIGKILL)
    assert not fake.executed


def test_to_stand_still_and_go_on_are_signals(fake: FakeCluster, started: Pod) -> None:
    for number in (signal.SIGCONT, signal.SIGSTOP, signal.SIGCONT):
        started.send(number)
    assert [said for _, said in fake.executed] == ["kill -STOP -1", "kill -CONT -1"]


def test_it_is_asked_to_end_once_by_its_deletion(fake: FakeCluster, started: Pod) -> None:
    started.send(signal.SIGSTOP)
    started.ask_to_stop()
    started.ask_to_stop()
    assert sum(each.startswith("DELETE") for each in fake.asked) == 1
    assert fake.grace["agent-1"] is None, "it has the time that its pod says"
    assert fake.executed[-1][1] == "kill -CONT -1", "one that stands still would not notice"
    fake.clock.sleep(1)
    death = started.poll()
    assert death is not None
    assert death.status == 0


def test_stopped_it_leaves_its_log_and_nothing_else(fake: FakeCluster, started: Pod) -> None:
    started.poll()
    started.stop(5.0)
    assert not fake.agents()
    assert started.log.read_text() == "one\ntwo\n"
    assert started.last_lines() == ("one", "two")
    started.stop(5.0)
    started.send(signal.SIGTERM)


def test_no_secret_is_in_its_log(fake: FakeCluster, started: Pod) -> None:
    remember(["sk-9f8e7d6c5b4a3f2e1d"])
    fake.output = "the key is sk-9f8e7d6c5b4a3f2e1d\nand so on"
    started.poll()
    started.stop(1.0)
    assert started.log.read_text() == "the key is [secret]\nand so on"


def test_lines_of_one_instant_are_all_there_once(fake: FakeCluster, started: Pod) -> None:
    fake.output, fake.coarse = "a\nb\nc\nd\ne\n", 4
    fake.cuts = [2 * len(STAMP.format(0) + " a\n") + 10]
    started.poll()
    until("the second connection", lambda: len(fake.heard) >= 2)
    started.stop(1.0)
    assert started.log.read_text() == fake.output


def test_a_log_goes_on_where_its_connection_was_lost_in_the_middle_of_a_line(
    fake: FakeCluster, started: Pod
) -> None:
    fake.output = "the first line\nthe second\nthe third\nand a last one"
    fake.cuts = [len(STAMP.format(0)) + len(" the first line\n") + 10, 1]
    started.poll()
    until("the third connection", lambda: len(fake.heard) >= 3)
    started.stop(1.0)
    assert started.log.read_text() == fake.output
    since = [each.get("sinceTime", "") for each in fake.heard[:3]]
    assert since == ["", STAMP.format(0), STAMP.format(0)], "what is known is not asked for again"


def test_what_the_node_says_in_a_log_does_not_end_it(fake: FakeCluster, started: Pod) -> None:
    fake.output, fake.grumbles = "one\n", "failed to create fsnotify watcher: too many open files\n"
    started.poll()
    until("the second connection", lambda: len(fake.heard) >= 2)
    fake.output = "one\ntwo\n"
    until("what came since", lambda: "two" in started.log.read_text())
    started.stop(1.0)
    assert started.log.read_text() == f"one\n{fake.grumbles}two\n"
    assert fake.heard[-1]["sinceTime"] == STAMP.format(0)


def test_a_right_to_logs_that_is_missing_stands_in_their_place(fake: FakeCluster, started: Pod) -> None:
    fake.refuses = ("GET", "/log")
    started.poll()
    until("the log", lambda: started.log.exists() and bool(started.log.read_text()))
    started.stop(1.0)
    assert "log is forbidden" in started.log.read_text()
    assert "which rights a fleet needs" in started.last_lines()[-1]
    assert sum(each.endswith("/log") for each in fake.asked) == 1, "it is not asked for again and again"


def test_of_a_log_that_is_too_long_the_last_lines_are_known_all_the_same(
    fake: FakeCluster, started: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heard, "MOST_BYTES", 300)
    fake.output = "\n".join(f"line {number}" for number in range(60))
    started.poll()
    until("the log", started.log.exists)
    until("its end", lambda: "the rest is not kept" in started.log.read_text("utf-8"))
    fake.pods["agent-1"]["status"] |= ended(1, "Error")
    fake.clock.sleep(1)
    death = started.poll()
    assert death is not None
    assert death.last_lines[-1] == "line 59"


def test_one_that_somebody_deletes_is_told_to_be_gone(fake: FakeCluster, started: Pod) -> None:
    started.poll()
    fake.pods.pop("agent-1")
    fake.clock.sleep(1)
    with pytest.raises(ChildDiedError, match="agent-1 was deleted by somebody, or evicted by its node,"):
        started.check()


def test_one_that_is_being_deleted_by_somebody_is_not_waited_for(fake: FakeCluster, started: Pod) -> None:
    started.poll()
    fake.pods["agent-1"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    fake.clock.sleep(1)
    with pytest.raises(ChildDiedError, match="was deleted by somebody"):
        started.check()


def test_one_that_leaves_because_it_was_asked_to_has_its_time(fake: FakeCluster, started: Pod) -> None:
    started.poll()
    leaving = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    fake.pods["agent-1"]["metadata"] |= leaving
    kept = fake.pods["agent-1"]
    started.ask_to_stop()
    fake.pods["agent-1"] = kept
    fake.clock.sleep(1)
    assert started.poll() is None


@pytest.mark.parametrize("told", [{}, {"containerStatuses": [{"state": {"waiting": {}}}]}])
def test_one_that_is_evicted_is_told_in_the_words_of_the_cluster(
    fake: FakeCluster, started: Pod, told: dict[str, object]
) -> None:
    evicted = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
    fake.pods["agent-1"]["status"] = evicted | told
    fake.clock.sleep(1)
    with pytest.raises(ChildDiedError, match=r"(?s)does not tell how.*low on resource: memory\. Evicted"):
        started.check()


def test_what_others_add_to_a_pod_is_not_taken_for_the_agent(fake: FakeCluster, place: Place) -> None:
    fake.added = "istio-proxy"
    with pytest.raises(StartError, match="the cluster adds istio-proxy to each pod, such as agent-1"):
        place.create("agent-1", {}, memory_mb=64, cpus=1)


def test_a_limit_that_nobody_asked_for_is_not_taken_for_a_slow_agent(fake: FakeCluster, place: Place) -> None:
    fake.limited = "500m"
    place.create("agent-1", {}, memory_mb=64, cpus=2)
    with pytest.raises(StartError, match="the cluster limits agent-2 to 500m of CPU, which nobody asked for"):
        place.create("agent-2", {}, memory_mb=64, cpus=None)


def test_which_image_ran_is_known_and_another_under_the_same_name_is_refused(
    fake: FakeCluster, place: Place, started: Pod
) -> None:
    started.poll()
    assert place.image_id == "sha256:1"
    fake.image_id = "sha256:2"
    place.create("agent-2", {}, memory_mb=64, cpus=1)
    second = Pod("agent-2", {}, place, log=started.log, memory_mb=64, cpus=1, clock=fake.clock)
    second._made_s = 0.0
    with pytest.raises(StartError, match="agent-2 runs sha256:2, and those before it ran sha256:1"):
        second.poll()


def test_an_address_that_another_pod_had_is_refused(fake: FakeCluster, place: Place, started: Pod) -> None:
    assert started.address == "10.244.0.3:8080"
    fake.numbered -= 1
    second = Pod("agent-2", {}, place, log=started.log, memory_mb=64, cpus=1, clock=fake.clock)
    second.start()
    with pytest.raises(StartError, match=r"gave agent-2 the address 10\.244\.0\.3 that agent-1 had"):
        assert second.address


@pytest.mark.parametrize("ips", [("10.244.0.9", "fd00::9"), ("fd00::9", "10.244.0.9")])
def test_of_two_addresses_the_one_of_ipv4_is_taken(
    fake: FakeCluster, place: Place, tmp_path: Path, ips: tuple[str, str]
) -> None:
    fake.ips = ips
    made = pod(fake, place, tmp_path)
    made.start()
    assert made.address == "10.244.0.9:8080"


def test_one_of_ipv6_alone_is_a_sentence(fake: FakeCluster, place: Place, tmp_path: Path) -> None:
    fake.ips = ("fd00::9",)
    made = pod(fake, place, tmp_path)
    made.start()
    with pytest.raises(StartError, match="agent-1 has an address of IPv6 alone, fd00::9"):
        assert made.address


def test_a_message_of_pages_is_cut(fake: FakeCluster, place: Place, tmp_path: Path) -> None:
    fake.waiting = ("CreateContainerConfigError", "x" * 1_000_000)
    made = pod(fake, place, tmp_path)
    made.start()
    with pytest.raises(StartError, match="CreateContainerConfigError") as caught:
        made.poll()
    assert len(str(caught.value)) < 2000


def test_its_cost_is_the_kubelets_count(fake: FakeCluster, started: Pod) -> None:
    assert started.usage() == (2.5, 40.0)
    assert started.held() == {"memory": 40.0 * 2**20}


def test_a_cluster_that_is_lost_is_no_death(fake: FakeCluster, started: Pod) -> None:
    started.poll()
    fake.silent = httpx.ConnectError("refused")
    fake.clock.sleep(1)
    assert started.poll() is None
    fake.clock.sleep(PATIENCE_S)
    with pytest.raises(StartError, match="does not answer"):
        started.poll()
    fake.silent = None
    assert started.poll() is None
