"""One container, as a fleet starts, watches, signals and ends it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import ChildDiedError, StartError
from harness.fleet.docker.container import EngineContainer
from harness.fleet.docker.engine import EngineError
from harness.fleet.docker.place import Place
from harness.outside.secrets import remember
from harness.process.child import STILL_S
from tests.harness.fleet.docker.fake_engine import FakeEngine


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def place(engine: FakeEngine) -> Iterator[Place]:
    with engine.place() as made:
        yield made


def container(engine: FakeEngine, place: Place, folder: Path) -> EngineContainer:
    return EngineContainer(
        "agent-1",
        {},
        place,
        log=folder / "logs" / "agent-1.log",
        shared=folder,
        memory_mb=64,
        cpus=1,
        clock=engine.clock,
    )


@pytest.fixture
def started(engine: FakeEngine, place: Place, tmp_path: Path) -> EngineContainer:
    made = container(engine, place, tmp_path)
    made.start()
    return made


def test_one_that_runs_has_an_address_and_is_not_dead(started: EngineContainer) -> None:
    assert started.address == "172.31.7.2"
    assert started.poll() is None


def test_one_that_ends_at_once_is_told_with_what_it_said(
    engine: FakeEngine, place: Place, tmp_path: Path
) -> None:
    engine.dead_at_once = True
    made = container(engine, place, tmp_path)
    made.start()
    death = made.poll()
    assert death is not None
    assert (death.name, death.status, death.last_lines) == ("agent-1", 1, ("one", "two"))


def test_sigkill_is_the_engines_and_its_status_says_so(engine: FakeEngine, started: EngineContainer) -> None:
    started.send(signal.SIGKILL)
    engine.clock.sleep(1)
    death = started.poll()
    assert death is not None
    assert death.status == -9


def test_over_its_memory_limit_it_is_said_to_be(engine: FakeEngine, started: EngineContainer) -> None:
    engine.only().state, engine.only().code, engine.only().oom = "exited", 137, True
    engine.clock.sleep(1)
    death = started.poll()
    assert death is not None
    assert death.last_lines[-1] == "(the kernel ended it: over its memory limit of 64 MiB)"


def test_to_stand_still_is_the_engines_pause(engine: FakeEngine, started: EngineContainer) -> None:
    for number in (signal.SIGCONT, signal.SIGSTOP, signal.SIGCONT):
        started.send(number)
    assert engine.only().signals == ["pause", "unpause"]


def test_it_is_asked_to_end_as_its_image_wants(tmp_path: Path) -> None:
    engine = FakeEngine(images={"an-image": "SIGQUIT"})
    with engine.place() as place:
        made = container(engine, place, tmp_path)
        made.start()
        made.ask_to_stop()
        made.ask_to_stop()
        assert engine.only().signals == ["SIGQUIT"]


def test_one_that_stands_still_goes_on_to_end(engine: FakeEngine, started: EngineContainer) -> None:
    engine.deaf = True
    started.send(signal.SIGSTOP)
    started.ask_to_stop()
    assert engine.only().signals == ["pause", "SIGTERM", "unpause"]


def test_one_that_somebody_paused_is_named_when_it_stands_still_for_long(
    engine: FakeEngine, started: EngineContainer
) -> None:
    engine.only().state = "paused"
    started.check()
    engine.clock.sleep(STILL_S - 1)
    started.check()
    engine.clock.sleep(1)
    with pytest.raises(StartError, match="agent-1 stands still"):
        started.check()
    engine.only().state = "running"
    engine.clock.sleep(1)
    started.check()


def test_one_that_was_frozen_on_purpose_is_no_trouble(engine: FakeEngine, started: EngineContainer) -> None:
    started.send(signal.SIGSTOP)
    engine.clock.sleep(2 * STILL_S)
    started.check(0.0)
    engine.only().state = "exited"
    engine.clock.sleep(1)
    with pytest.raises(ChildDiedError, match="agent-1"):
        started.check()


def test_stopped_it_leaves_its_log_and_nothing_else(engine: FakeEngine, started: EngineContainer) -> None:
    started.stop(5.0)
    assert not engine.containers
    assert started.log.read_text() == "one\ntwo\n"
    assert started.last_lines() == ("one", "two")
    started.stop(5.0)
    started.send(signal.SIGTERM)


def test_one_that_takes_no_notice_is_removed_by_force(engine: FakeEngine, started: EngineContainer) -> None:
    engine.deaf = True
    before_s = engine.clock.monotonic()
    started.stop(5.0)
    engine.clock.sleep(1)
    assert started.poll() is None, "nobody asks the engine for one that it has no more"
    assert 6.0 <= engine.clock.monotonic() - before_s < 7.0
    assert not engine.containers


def test_no_secret_is_in_its_log(engine: FakeEngine, started: EngineContainer) -> None:
    remember(["sk-9f8e7d6c5b4a3f2e1d"])
    engine.output = b"the key is sk-9f8e7d6c5b4a3f2e1d\n"
    started.stop(1.0)
    assert "sk-9f8e7d6c5b4a3f2e1d" not in started.log.read_text()


def test_its_cost_is_the_engines_count_and_stays_known(engine: FakeEngine, started: EngineContainer) -> None:
    engine.only().cpu_ns = 2_500_000_000
    assert started.usage() == (2.5, 40.0), "the cache of files is not its memory"
    engine.only().state = "exited"
    assert started.usage() == (2.5, 40.0)
    assert started.held() == {"memory": 0.0, "threads": 0.0}


def test_what_it_holds_is_memory_and_threads(started: EngineContainer) -> None:
    assert started.held() == {"memory": 40.0 * 2**20, "threads": 9.0}


def test_an_engine_that_is_lost_is_no_death(engine: FakeEngine, started: EngineContainer) -> None:
    engine.lost = True
    engine.clock.sleep(1)
    with pytest.raises(EngineError, match="no container engine answers"):
        started.poll()
    engine.lost = False
    assert started.poll() is None
