from pathlib import Path

import pytest

from harness.child import last_lines, wait_ready
from harness.clock import FakeClock
from harness.errors import ChildDiedError, Death, ExitCode, StartError


class FakeChild:
    """A child that is ready, or dies, after so many looks."""

    def __init__(self, log: Path, dies_at_look: int = 10**9) -> None:
        self.name = "agent-1"
        self.log = log
        self.looks = 0
        self._dies_at_look = dies_at_look

    def check(self) -> None:
        self.looks += 1
        if self.looks >= self._dies_at_look:
            raise ChildDiedError(Death(name=self.name, status=3, last_lines=("boom",), log=self.log))


def test_waiting_ends_at_the_look_that_finds_it_ready(tmp_path: Path) -> None:
    clock, child = FakeClock(), FakeChild(tmp_path / "log")
    wait_ready(child, lambda: child.looks == 3, what="http://x", deadline_s=5, clock=clock)
    assert clock.slept == [0.02, 0.02, 0.02]


def test_one_that_is_never_ready_is_told_with_its_last_lines_and_log(tmp_path: Path) -> None:
    log = tmp_path / "agent-1.log"
    log.write_text("starting\nstill starting\n")
    with pytest.raises(StartError) as caught:
        wait_ready(FakeChild(log), lambda: False, what="http://x", deadline_s=5, clock=FakeClock())
    said = str(caught.value)
    assert "agent-1 was not ready within 5 s (http://x)" in said
    assert "  | still starting" in said
    assert str(log) in said
    assert caught.value.exit_code is ExitCode.NOT_STARTED


def test_one_that_dies_meanwhile_is_told_at_once(tmp_path: Path) -> None:
    clock = FakeClock()
    with pytest.raises(ChildDiedError, match="ended with exit status 3"):
        wait_ready(FakeChild(tmp_path / "log", 2), lambda: False, what="u", deadline_s=5, clock=clock)
    assert clock.monotonic() < 0.1


def test_a_death_by_signal_is_told_as_one(tmp_path: Path) -> None:
    error = ChildDiedError(Death(name="agent-2", status=-9, last_lines=(), log=tmp_path))
    assert "agent-2 was killed by signal 9" in str(error)
    assert "(it printed nothing)" in str(error)


def test_the_end_of_a_log_is_at_most_32_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"\xff\n" + b"".join(b"line %d\n" % n for n in range(100)))
    assert last_lines(log) == tuple(f"line {n}" for n in range(68, 100))
    assert last_lines(tmp_path / "none") == ()
