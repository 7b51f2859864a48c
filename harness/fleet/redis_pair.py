"""A real Redis with a replica: the store that weather befalls."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from harness.clock import Clock
from harness.errors import StartError, quote
from harness.fleet.ports import HOST, Ports
from harness.process.child import Child

PROGRAM: Final = "redis-server"
ANSWER_S: Final = 5.0
START_S: Final = 30.0
POLL_S: Final = 0.02
MOST_BYTES: Final = 65_536


def require_redis() -> None:
    """Look whether one can be started here.

    Raises:
        StartError: there is no Redis.
    """
    if shutil.which(PROGRAM) is None:
        raise StartError(
            f"{PROGRAM} is not installed, and what is asked for is of a real Redis: "
            "apt-get install redis-server (or brew install redis)."
        )


class RedisPair:
    """A primary and its replica, for the length of a `with` block.

    Args:
        folder: for what they write.
        log_dir: for what they print.
        ports: gives each its own.
        clock: for waiting.
        lead: told the port of the primary, at first and whenever another one is.
    """

    def __init__(
        self, folder: Path, log_dir: Path, *, ports: Ports, clock: Clock, lead: Callable[[int], None]
    ) -> None:
        self._folder = folder
        self._log_dir = log_dir
        self._clock = clock
        self._lead = lead
        self._ports = ports
        self._children: dict[int, Child] = {}
        self._started = 0
        self.primary = 0
        self.replica = 0

    def __enter__(self) -> Self:
        """Start both, and return once the replica has all that the primary has.

        Raises:
            StartError: there is no Redis here, or it doesn't start.
        """
        require_redis()
        try:
            self.primary, self.replica = self._ports.reserve(), self._ports.reserve()
            self._start(self.primary)
            self._start(self.replica, of=self.primary)
            self.await_replica()
        except BaseException:
            self._end()
            raise
        self._lead(self.primary)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End both; what they hold is gone."""
        self._end()

    def tell(self, *words: str) -> None:
        """Give the primary a command of an operator.

        Raises:
            StartError: it does not take it.
        """
        try:
            answer = self._told(self.primary, *words)
        except OSError as error:
            raise StartError(f"redis: {words[0]}: the primary does not answer: {error}") from error
        if answer.startswith(b"-"):
            raise StartError(f"redis: {' '.join(words)}: {answer.decode(errors='replace').strip()}")

    def await_replica(self) -> None:
        """Return once the replica has what the primary has.

        Raises:
            StartError: it does not get it in time.
        """
        child = self._children[self.replica]
        self._until(
            child, lambda: b"master_link_status:up" in self._told(self.replica, "INFO", "replication")
        )
        self._until(child, lambda: b"state=online" in self._told(self.primary, "INFO", "replication"))

    def kill(self) -> None:
        """SIGKILL the primary, as a power cut does; its replica is one by then."""
        self.await_replica()
        child = self._children.pop(self.primary)
        child.send(signal.SIGKILL)
        child.stop(0.0)

    def promote(self) -> None:
        """Make the replica the primary, tell who leads there, and start the old one as its replica.

        That is not waited for: the store can be written before it is there.
        """
        dead, self.primary = self.primary, self.replica
        self.tell("REPLICAOF", "NO", "ONE")
        self._lead(self.primary)
        self.replica = dead
        self._launch(dead, of=self.primary)

    def figure(self, section: str, name: str) -> float | None:
        """Return a figure that the primary tells of itself, None where it tells none."""
        with suppress(OSError, ValueError):
            for line in self._told(self.primary, "INFO", section).decode(errors="replace").splitlines():
                key, _, value = line.partition(":")
                if key == name:
                    return float(value)
        return None

    def _start(self, port: int, *, of: int | None = None) -> None:
        child = self._launch(port, of=of)
        self._until(child, lambda: self._told(port, "PING").startswith(b"+PONG"))

    def _launch(self, port: int, *, of: int | None = None) -> Child:
        self._started += 1
        folder = self._folder / f"redis-{self._started}"
        folder.mkdir(parents=True, exist_ok=True)
        argv = [PROGRAM, "--bind", HOST, "--port", str(port), "--dir", str(folder.absolute())]
        argv += ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]
        argv += [] if of is None else ["--replicaof", f"{HOST} {of}"]
        child = Child(f"redis-{self._started}", argv, os.environ, self._log_dir, self._clock)
        self._children[port] = child
        child.start()
        return child

    def _until(self, child: Child, so: Callable[[], bool]) -> None:
        deadline_s = self._clock.monotonic() + START_S
        while True:
            with suppress(OSError):
                if so():
                    return
            child.check()
            if self._clock.monotonic() > deadline_s:
                raise StartError(f"{child.name} does not get ready:\n{quote(child.last_lines())}")
            self._clock.sleep(POLL_S)

    def _told(self, port: int, *words: str) -> bytes:
        """Return the first of what a server answers."""
        parts = b"".join(b"$%d\r\n%b\r\n" % (len(word.encode()), word.encode()) for word in words)
        with socket.create_connection((HOST, port), timeout=ANSWER_S) as connection:
            connection.sendall(b"*%d\r\n%b" % (len(words), parts))
            return connection.recv(MOST_BYTES)

    def _end(self) -> None:
        for child in self._children.values():
            child.send(signal.SIGKILL)
            child.stop(0.0)
        self._children.clear()
