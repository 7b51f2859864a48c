"""A child process: started in a session of its own, logged, watched, and stopped whole.

A child gets its own session, so that Ctrl-C at the terminal reaches the harness alone,
which then stops its children in order. Should the harness itself be killed, the kernel
kills the child: a tiny shim asks for that (PR_SET_PDEATHSIG) and then becomes the
program, so that it costs no process of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from harness.clock import Clock
from harness.errors import ChildDiedError, Death, StartError

LAST_LINES = 32
_SHIM = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Child:
    """One process of a run.

    Args:
        name: what it is called in messages, such as `agent-2`.
        argv: program and arguments.
        env: its whole environment.
        log: file that gets what it prints; its folder is made.
        clock: waits while it stops.
    """

    def __init__(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], log: Path, *, clock: Clock
    ) -> None:
        self.name = name
        self.log = log
        self._clock = clock
        self._asked_to_stop = False
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    _tethered(argv),
                    env=dict(env),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise StartError(f"{name}: cannot be started: {error}. Command: {' '.join(argv)}") from error

    @property
    def pid(self) -> int:
        """Its process id, which is its session's and group's as well."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        return self._process.poll()

    def check(self) -> None:
        """Raise when it ended without being asked to.

        Raises:
            ChildDiedError: with its exit status, last lines and log.
        """
        status = self.poll()
        if status is not None and not self._asked_to_stop:
            raise ChildDiedError(
                Death(name=self.name, status=status, last_lines=last_lines(self.log), log=self.log)
            )

    def usage(self) -> tuple[float, float]:
        """Return CPU seconds so far and resident MiB, of it and its children; zeros once it is gone."""
        try:
            root = psutil.Process(self.pid)
            family = [root, *root.children(recursive=True)]
            times = [process.cpu_times() for process in family]
            rss = sum(process.memory_info().rss for process in family)
        except psutil.Error:
            return 0.0, 0.0
        return sum(t.user + t.system for t in times), rss / 2**20

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it alone, as an experiment that kills containers does."""
        self._process.send_signal(number)

    def terminate(self) -> None:
        """Ask its whole group to end; `reap` waits for it."""
        self._asked_to_stop = True
        _signal_group(self.pid, signal.SIGTERM)

    def reap(self, grace_s: float) -> None:
        """Wait until it has ended, and kill its whole group when that takes longer than `grace_s`."""
        deadline = self._clock.monotonic() + grace_s
        while self.poll() is None and self._clock.monotonic() < deadline:
            self._clock.sleep(0.02)
        _signal_group(self.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self, grace_s: float = 5.0) -> None:
        """End it: ask, wait up to `grace_s`, then kill."""
        self.terminate()
        self.reap(grace_s)


def stop_all(children: Sequence[Child], grace_s: float = 5.0) -> None:
    """End several at once: ask all, then wait for each."""
    for child in children:
        child.terminate()
    for child in children:
        child.reap(grace_s)


def wait_ready(
    child: Child,
    ready: Callable[[], bool],
    *,
    what: str,
    deadline_s: float,
    clock: Clock,
    poll_s: float = 0.02,
) -> None:
    """Return when `ready()` is true.

    Args:
        child: the process that is waited for.
        ready: looks; must return soon.
        what: what is waited for, for the message: an URL.
        deadline_s: give up after so long.
        clock: waits between looks.
        poll_s: seconds between looks.

    Raises:
        ChildDiedError: it ended instead.
        StartError: it was not ready in time.
    """
    deadline = clock.monotonic() + deadline_s
    while not ready():
        child.check()
        if clock.monotonic() >= deadline:
            said = "\n".join(f"  | {line}" for line in last_lines(child.log)) or "  | (it printed nothing)"
            raise StartError(
                f"{child.name} was not ready within {deadline_s:.0f} s ({what}). Its last lines:\n{said}\n"
                f"The whole log: {child.log}"
            )
        clock.sleep(poll_s)


def last_lines(log: Path) -> tuple[str, ...]:
    """Return the end of a log, at most 32 lines; none when there is no log."""
    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            return tuple(line.rstrip() for line in deque(lines, maxlen=LAST_LINES))
    except OSError:
        return ()


def _tethered(argv: Sequence[str]) -> list[str]:
    if sys.platform != "linux":
        return list(argv)
    return [sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid()), *argv]


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # it is gone already; macOS says the latter of zombies
        return
