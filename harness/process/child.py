"""A child process: started in a session of its own, watched, and stopped with all it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from harness.clock import Clock
from harness.errors import ChildDiedError, Death, StartError
from harness.outside.secrets import hidden
from harness.process import guard, leftovers
from harness.process.output import Output
from harness.process.uninterrupted import uninterrupted

LAST_LINES: Final = 32
TAIL_BYTES: Final = 32 * 1024
POLL_S: Final = 0.01
KILL: Final[signal.Signals] = getattr(signal, "SIGKILL", signal.SIGTERM)
"""What ends a process whatever it does; Windows has no such signal."""
MIB: Final = 1024 * 1024
STILL_S: Final = 20.0
"""A process that somebody stopped may stand still for so long, and go on."""
SHIM: Final = (sys.executable, "-I", "-S", str(Path(__file__).with_name("die_with_parent.py")))


class Child:
    """One process of a run, and the group of processes that it leads.

    It has a session of its own, so that a Ctrl-C reaches the harness alone, and it dies
    with the thread that called `start`, whatever ends that.

    Args:
        name: its name in the fleet, such as `agent-1`.
        argv: program and arguments.
        env: its whole environment.
        log_dir: where its output goes, as `<name>.log`.
        clock: for waiting.
        workdir: where it is started, None for here.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        log_dir: Path,
        clock: Clock,
        *,
        workdir: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log_dir / f"{name}.log"
        self._argv = tuple(argv)
        self._env = dict(env)
        self._clock = clock
        self._workdir = workdir
        self._process: subprocess.Popen[bytes] | None = None
        self._output: Output | None = None
        self._usage = (0.0, 0.0)
        self._asked = False
        self._still_since_s: float | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, None before the start."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it.

        Raises:
            StartError: its log cannot be written, or the machine takes no more processes.
        """
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            env = self._env | guard.environment()
            with Output(self.log) as output, uninterrupted():
                self._process = subprocess.Popen(
                    [*SHIM, str(os.getpid()), *self._argv],
                    env=env,
                    cwd=self._workdir,
                    stdin=subprocess.DEVNULL,
                    stdout=output.fileno(),
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self._output = output
                guard.started(self._process.pid)
        except OSError as error:
            raise StartError(f"{self.name}: cannot be started, log {self.log}: {error}") from error

    def poll(self) -> Death | None:
        """Return how it ended, None while it runs."""
        process = self._process
        if process is None:
            return None
        if process.returncode is None:
            if not self._exited(process):
                return None
            self.usage()
            self._reap(process)
        return Death(
            name=self.name, status=process.returncode or 0, last_lines=self.last_lines(), log=self.log
        )

    def check(self, still_s: float = STILL_S) -> None:
        """Raise when it has ended, or stands still.

        Args:
            still_s: for how long it may, in seconds: somebody stopped it, by SIGSTOP for example.

        Raises:
            ChildDiedError: with its exit status, last lines and log.
            StartError: it stands still.
        """
        if death := self.poll():
            raise ChildDiedError(death)
        self.check_it_moves(still_s)

    def check_it_moves(self, still_s: float = STILL_S) -> None:
        """Raise when it stands still for longer than it may.

        Raises:
            StartError: it does.
        """
        if not self._stands_still():
            self._still_since_s = None
            return
        now_s = self._clock.monotonic()
        if self._still_since_s is None:
            self._still_since_s = now_s
        if now_s - self._still_since_s >= still_s:
            raise StartError(
                f"{self.name} stands still: somebody stopped it with a signal (SIGSTOP, for example), and "
                "nobody let it go on while it was needed. Run it again."
            )

    def ask_to_stop(self) -> None:
        """Send SIGTERM to its group, once, and return at once."""
        if not self._asked:
            self._asked = True
            self.usage()
            self.send(signal.SIGTERM)
            self.send(signal.SIGCONT)  # one that stands still would not notice

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its group; nothing happens when it isn't running."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def stop(self, grace_s: float) -> None:
        """Ask it to stop, and kill its group when it hasn't after `grace_s`."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        try:
            self.ask_to_stop()
            deadline = self._clock.monotonic() + grace_s
            while not self._exited(process) and self._clock.monotonic() < deadline:
                self._clock.sleep(POLL_S)
        finally:
            self._reap(process)

    def usage(self) -> tuple[float, float]:
        """Return CPU seconds and resident MiB of its session; the last known once it ended."""
        if self._process is not None and self._process.returncode is None:
            parts = [_usage(pid) for pid in psutil.pids() if _session(pid) == self._process.pid]
            cpu_s, rss_mb = sum(cpu_s for cpu_s, _ in parts), sum(rss_mb for _, rss_mb in parts)
            # One that has just ended shows less.
            self._usage = (max(self._usage[0], cpu_s), rss_mb or self._usage[1])
        return self._usage

    def listening(self) -> tuple[int, ...]:
        """Return the TCP ports that its session listens on."""
        if self._process is None or self._process.returncode is not None:
            return ()
        mine = [pid for pid in psutil.pids() if _session(pid) == self._process.pid]
        return tuple(sorted({port for pid in mine for port in _ports(pid)}))

    def last_lines(self) -> tuple[str, ...]:
        """Return the end of its log, at most 32 lines."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError:
            return ()
        return tuple(hidden(text).splitlines()[-LAST_LINES:])

    def _stands_still(self) -> bool:
        if self._process is None:
            return False
        how = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        with suppress(ChildProcessError):  # it has just ended
            return os.waitid(os.P_PID, self._process.pid, how) is not None
        return False

    @staticmethod
    def _exited(process: subprocess.Popen[bytes]) -> bool:
        """Look without reaping: as long as the leader is a zombie its group's number is not given anew."""
        if not hasattr(
            os, "waitid"
        ):  # macOS before Python 3.13: it is reaped, and its number may be another's
            return process.poll() is not None
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        """Kill what is left of the session, in whichever group, and reap its leader."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, KILL)
        leftovers.kill("", frozenset({process.pid}))
        process.wait()
        guard.ended(process.pid)
        if self._output is not None:
            self._output.catch_up()


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:  # it ended in between
        return None


def _ports(pid: int) -> list[int]:
    try:
        connections = psutil.Process(pid).net_connections("tcp")
        return [each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN]
    except psutil.Error:  # likewise
        return []


def _usage(pid: int) -> tuple[float, float]:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return times.user + times.system, process.memory_info().rss / MIB
    except psutil.Error:  # likewise
        return 0.0, 0.0
