"""A real Redis on a port of its own."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from harness.fleet.ports import HOST, Ports
from harness.process.child import Child
from tests.e2e.agents import CLOCK
from tests.e2e.waiting import DEADLINE_S, until


class RedisServer:
    """Redis, to be stopped and started again; it forgets everything in between.

    Args:
        folder: for its log.
        port: where it listens.
        options: beyond the usual ones.
    """

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        self.url = f"redis://{HOST}:{port}/0"
        self.port = port
        self._folder = folder
        self._options = options
        self._child: Child | None = None

    def start(self) -> None:
        self._child = Child("redis", self.argv(), os.environ, self._folder, CLOCK)
        self._child.start()
        deadline = CLOCK.monotonic() + DEADLINE_S
        while not self._answers():
            self._child.check()
            assert CLOCK.monotonic() < deadline, self._child.last_lines()
            CLOCK.sleep(0.02)

    def argv(self) -> list[str]:
        usual = ["--bind", HOST, "--port", str(self.port), "--dir", str(self._folder), "--save", ""]
        return ["redis-server", *usual, *self._options]

    def kill(self) -> None:
        if self._child is not None:
            self._child.send(signal.SIGKILL)
            self._child.stop(0.0)

    def told(self, command: str) -> bytes:
        """Return what it answers, or the first of it."""
        with socket.create_connection((HOST, self.port), timeout=DEADLINE_S) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(65_536)

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.told("PING").startswith(b"+PONG")
        return False


def needs_redis() -> None:
    """Skip a test where the program is not installed, but not in CI."""
    if shutil.which("redis-server") is None:
        assert "CI" not in os.environ, "redis-server is not installed: apt-get install redis-server"
        pytest.skip("redis-server is not installed")


@contextmanager
def redis_pair(folder: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A primary, and a replica that has caught up."""
    for name in ("one", "other"):
        (folder / name).mkdir()
    at_once = ("--repl-diskless-sync-delay", "0")
    with redis_server(folder / "one", *at_once) as primary, Ports() as ports:
        options = ("--replicaof", f"{HOST} {primary.port}", *at_once)
        replica = RedisServer(folder / "other", ports.reserve(), *options)
        try:
            replica.start()
            until("the replica's link", lambda: b"master_link_status:up" in replica.told("INFO replication"))
            # The primary believes in it only a round later, and hands over to no other.
            until("the replica online", lambda: b"state=online" in primary.told("INFO replication"))
            yield primary, replica
        finally:
            replica.kill()


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A Redis that is ready, gone afterwards; without the program the test is skipped, but not in CI."""
    needs_redis()
    with Ports() as ports:
        server = RedisServer(folder, ports.reserve(), *options)
        try:
            server.start()
            yield server
        finally:
            server.kill()
