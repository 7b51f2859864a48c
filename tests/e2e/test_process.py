import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness.clock import FakeClock, SystemClock
from harness.errors import StartError
from harness.outside.secrets import forget, remember
from harness.process import guard
from harness.process.child import STILL_S, Child
from tests.e2e.waiting import DEADLINE_S, until

pytestmark = pytest.mark.e2e

FOREVER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FOREVER
WORKS_WHEN_TOLD = (
    "import signal; told = {signal.SIGUSR1}; signal.pthread_sigmask(signal.SIG_BLOCK, told); "
    "print('up', flush=True); signal.sigwait(told); sum(range(8_000_000))"
)
WITH_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); " + FOREVER

Start = Callable[..., Child]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    children: list[Child] = []

    def starter(code: str, *, name: str = "child", argv: list[str] | None = None) -> Child:
        argv = argv or [sys.executable, "-c", code]
        child = Child(
            name, argv, {"PATH": os.environ["PATH"], "SEEN": "yes"}, tmp_path / "logs", SystemClock()
        )
        children.append(child)
        child.start()
        return child

    yield starter
    for child in children:
        child.stop(grace_s=0.0)


def up(child: Child) -> Child:
    until("its first line", lambda: "up" in child.last_lines())
    return child


def running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_child_has_the_environment_it_was_given_and_a_session_of_its_own(start: Start) -> None:
    code = "import os; print(sorted(k for k in os.environ if k != 'LC_CTYPE'), os.getsid(0) == os.getpid())"
    child = start(code)
    until("its end", lambda: child.poll() is not None)
    assert child.last_lines() == ("['PATH', 'SEEN'] True",)


def test_a_child_that_dies_is_told_with_status_and_its_last_32_lines(start: Start) -> None:
    child = start(
        "import sys\nfor n in range(40): print('line', n, flush=True)\nsys.exit('broken')", name="agent-7"
    )
    until("its end", lambda: child.poll() is not None)
    death = child.poll()
    assert death is not None
    assert (death.name, death.status, death.log.name) == ("agent-7", 1, "agent-7.log")
    assert death.last_lines == (*(f"line {n}" for n in range(9, 40)), "broken")


def test_a_child_killed_by_a_signal_has_its_number(start: Start) -> None:
    child = up(start(FOREVER))
    assert child.poll() is None
    child.send(signal.SIGKILL)
    until("its end", lambda: child.poll() is not None)
    death = child.poll()
    assert death is not None
    assert death.status == -signal.SIGKILL


def test_a_program_that_is_not_there_is_told_in_the_last_lines(start: Start) -> None:
    child = start("", argv=["/no/such/agent"])
    until("its end", lambda: child.poll() is not None)
    death = child.poll()
    assert death is not None
    assert (death.status, death.last_lines) == (
        127,
        ("/no/such/agent: cannot be started: No such file or directory",),
    )


def test_a_log_that_cannot_be_written_is_a_start_error(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    child = Child("agent-1", ["true"], {}, tmp_path / "logs", SystemClock())
    with pytest.raises(StartError, match=r"agent-1: cannot be started, log .*agent-1\.log"):
        child.start()
    assert child.poll() is None
    child.stop(grace_s=1.0)


def test_a_child_may_stand_still_for_a_while_and_is_named_then(tmp_path: Path) -> None:
    clock = FakeClock()
    child = Child("child", [sys.executable, "-c", FOREVER], {}, tmp_path, clock)
    child.start()
    try:
        child.send(signal.SIGSTOP)
        until("it stand still", lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
        for _ in range(2):
            child.check()
            clock.sleep(STILL_S - 1)
            child.check()
            child.send(signal.SIGCONT)  # which it may do as often as it likes
            until("it go on", lambda: psutil.Process(child.pid).status() != psutil.STATUS_STOPPED)
            child.check()
            child.send(signal.SIGSTOP)
            until("it stand still", lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
        child.check()
        clock.sleep(STILL_S)
        with pytest.raises(StartError, match=r"^child stands still: "):
            child.check()
    finally:
        child.stop(grace_s=0.0)


def test_stop_gives_time_to_finish(start: Start) -> None:
    code = "import signal, sys\nsignal.signal(15, lambda *_: (print('flushed'), sys.exit()))\n" + FOREVER
    child = up(start(code))
    child.stop(grace_s=DEADLINE_S)
    assert child.last_lines()[-1] == "flushed"
    assert child.pid is not None
    assert not psutil.pid_exists(child.pid)


def test_stop_kills_who_does_not_go(start: Start) -> None:
    child = up(start(STUBBORN))
    began = time.monotonic()
    child.stop(grace_s=0.2)
    assert 0.2 <= time.monotonic() - began < DEADLINE_S
    assert child.pid is not None
    assert not psutil.pid_exists(child.pid)


def test_stop_takes_what_the_child_started_with_it(start: Start) -> None:
    child = up(start(WITH_CHILD))
    assert child.pid is not None
    until("the grandchild", lambda: child.last_lines().count("up") == 2)
    (grandchild,) = psutil.Process(child.pid).children()
    child.stop(grace_s=DEADLINE_S)
    until("the grandchild's end", lambda: not running(grandchild.pid))


def test_stop_takes_a_grandchild_in_a_group_of_its_own_with_it(start: Start) -> None:
    child = up(start(WITH_CHILD.replace("Popen([", "Popen(process_group=0, args=[")))
    assert child.pid is not None
    until("the grandchild", lambda: child.last_lines().count("up") == 2)
    (grandchild,) = psutil.Process(child.pid).children()
    assert os.getpgid(grandchild.pid) != child.pid
    child.stop(grace_s=DEADLINE_S)
    until("the grandchild's end", lambda: not running(grandchild.pid))


def test_usage_counts_what_the_child_started_and_stays_known_after_the_end(start: Start) -> None:
    child = up(start(WITH_CHILD))
    until("the grandchild", lambda: child.last_lines().count("up") == 2)
    cpu_s, rss_mb = child.usage()
    assert 0 < cpu_s < 10
    assert rss_mb > 10
    child.stop(grace_s=1.0)
    after_cpu_s, after_rss_mb = child.usage()
    assert after_cpu_s >= cpu_s
    assert after_rss_mb > 10


def test_usage_counts_to_the_end_of_a_child_that_ends_by_itself(start: Start) -> None:
    child = up(start(WORKS_WHEN_TOLD))
    before_s, _ = child.usage()
    child.send(signal.SIGUSR1)
    until("its end", lambda: child.poll() is not None)
    after_s, rss_mb = child.usage()
    assert after_s > before_s + 0.02
    assert rss_mb > 1


@pytest.fixture
def secret() -> Iterator[str]:
    remember(["marked-key-7f3a"])
    yield "marked-key-7f3a"
    forget()


def test_a_secret_that_a_child_prints_never_reaches_its_log(start: Start, secret: str) -> None:
    child = up(
        start(f"print('told {secret}', end=' ', flush=True); print('{secret}', flush=True)\n" + FOREVER)
    )
    assert child.log.read_text() == "told [secret] [secret]\nup\n"
    child.stop(grace_s=1.0)


@pytest.mark.usefixtures("secret")
def test_the_last_words_of_a_child_whose_output_is_looked_through_are_there(start: Start) -> None:
    child = start("import sys; print('x' * 300_000, flush=True); sys.exit('broken')")
    until("its end", lambda: child.poll() is not None)
    death = child.poll()
    assert death is not None
    assert death.last_lines[-1] == "broken"
    assert child.log.stat().st_size == 300_000 + len("\nbroken\n")


@pytest.mark.usefixtures("secret")
def test_what_left_a_session_and_holds_the_output_open_keeps_nobody_waiting(start: Start) -> None:
    away = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {FOREVER!r}], "
    child = start(away + "start_new_session=True).pid, flush=True)")
    until("its end", lambda: child.poll() is not None)
    until("its last words", lambda: child.last_lines() != ())
    pid = int(child.last_lines()[0])
    assert running(pid)
    os.kill(pid, signal.SIGKILL)


def test_children_die_when_the_harness_is_killed(tmp_path: Path) -> None:
    harness = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from harness.clock import FakeClock, SystemClock
        from harness.process.child import STILL_S, Child
        child = Child("c", [sys.executable, "-c", {STUBBORN!r}], {{}}, Path({str(tmp_path)!r}), SystemClock())
        child.start()
        print(child.pid, flush=True)
        time.sleep(600)
    """)
    with subprocess.Popen([sys.executable, "-c", harness], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        until("the child", lambda: (tmp_path / "c.log").read_text() == "up\n")
        process.kill()
    until("the child's end", lambda: not running(pid))


GRANDCHILDREN = f"""
import os, subprocess, sys
for away in ({{}}, {{'process_group': 0}}, {{'start_new_session': True}}):
    print(subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], **away).pid, flush=True)
print(os.getpid(), flush=True)
os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)'])
"""
HARNESS = """
import os, sys, time
from pathlib import Path
from harness.clock import FakeClock, SystemClock
from harness.outside.secrets import forget, remember
from harness.process import guard
from harness.process.child import STILL_S, Child
with guard.nothing_left(), guard.scratch_folder("test") as scratch:
    (scratch / "sessions.db").touch()
    argv = ["sh", "-c", 'exec "$0" -c "$1" & wait', sys.executable, {code!r}]
    child = Child("c", argv, dict(os.environ), Path({folder!r}), SystemClock())
    child.start()
    print(scratch, guard._GUARD._waiting.pid, flush=True)
    sys.stdin.readline()
"""


class Watched:
    """A harness whose child, a shell, has started others that leave its group, its session, or both."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
        code = HARNESS.format(code=GRANDCHILDREN, folder=str(folder))
        self.state = folder / "state" / "agentrig" / "running"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        scratch, waiting = self.process.stdout.readline().split()
        self.scratch, self.waiting = Path(scratch), int(waiting)
        log = folder / "c.log"
        until("all", lambda: log.exists() and log.read_text().count("up\n") == 3)
        self.pids = [int(line) for line in log.read_text().split() if line.isdigit()]
        assert len(self.pids) == 4
        assert (self.scratch / "sessions.db").exists()

    def left(self) -> list[int]:
        return [pid for pid in (*self.pids, self.waiting) if running(pid)]


def test_grandchildren_and_scratch_folders_go_with_a_harness_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path, monkeypatch)
    watched.process.kill()
    until("the end of all", lambda: not watched.left())
    assert not watched.scratch.exists()
    assert not list(watched.state.iterdir())


def test_what_outlived_a_harness_that_was_killed_with_its_watcher_goes_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path, monkeypatch)
    os.kill(watched.waiting, signal.SIGKILL)
    watched.process.kill()
    watched.process.wait()
    # the watcher, too, holds the record for a moment if it dies a little later
    until("the end of the watcher", lambda: not running(watched.waiting))
    assert len(watched.left()) >= 3
    with guard.nothing_left():
        guard.environment()
        until("the end of all", lambda: not watched.left())
        assert not watched.scratch.exists()
        assert len(list(watched.state.iterdir())) == 1
    assert not list(watched.state.iterdir())


def test_the_start_of_a_harness_leaves_those_alone_that_are_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path, monkeypatch)
    with guard.nothing_left():
        guard.environment()
        assert len(watched.left()) == 5
        assert (watched.scratch / "sessions.db").exists()
    assert len(watched.left()) == 5
    watched.process.kill()
    until("the end of all", lambda: not watched.left())


def test_a_harness_that_ends_as_it_should_takes_what_left_its_sessions_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path, monkeypatch)
    watched.process.communicate("end\n", DEADLINE_S)
    assert not watched.left()
    assert not watched.scratch.exists()
    assert not list(watched.state.iterdir())
