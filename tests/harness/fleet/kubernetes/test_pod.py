"""One pod, as a fleet starts, watches, signals and ends it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from harness.errors import ChildDiedError, StartError
from harness.fleet.kubernetes.place import BLIP_S, Place
from harness.fleet.kubernetes.pod import Pod
from harness.outside.secrets import remember
from tests.harness.fleet.kubernetes.fake_api import FakeCluster, ended


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


def test_one_that_somebody_deletes_is_told_to_be_gone(fake: FakeCluster, started: Pod) -> None:
    started.poll()
    fake.pods.pop("agent-1")
    fake.clock.sleep(1)
    with pytest.raises(ChildDiedError, match="somebody deleted it"):
        started.check()


def test_its_cost_is_the_kubelets_count(fake: FakeCluster, started: Pod) -> None:
    assert started.usage() == (2.5, 40.0)
    assert started.held() == {"memory": 40.0 * 2**20}


def test_a_cluster_that_is_lost_is_no_death(fake: FakeCluster, started: Pod) -> None:
    started.poll()
    fake.silent = httpx.ConnectError("refused")
    fake.clock.sleep(1)
    assert started.poll() is None
    fake.clock.sleep(BLIP_S)
    with pytest.raises(StartError, match="does not answer"):
        started.poll()
    fake.silent = None
    assert started.poll() is None
