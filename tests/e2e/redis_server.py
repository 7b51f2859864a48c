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
from tests.e2e.waiting import DEADLINE_S


class RedisServer:
    """Redis, to be stopped and started again; it forgets everything in between.

    Args:
        folder: for its log.
        port: where it listens.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.url = f"redis://{HOST}:{port}/0"
        self._folder = folder
        self._port = port
        self._child: Child | None = None

    def start(self) -> None:
        argv = ["redis-server", "--bind", HOST, "--port", str(self._port), "--dir", str(self._folder)]
        self._child = Child("redis", [*argv, "--save", ""], os.environ, self._folder, CLOCK)
        self._child.start()
        deadline = CLOCK.monotonic() + DEADLINE_S
        while not self._answers():
            self._child.check()
            assert CLOCK.monotonic() < deadline, self._child.last_lines()
            CLOCK.sleep(0.02)

    def kill(self) -> None:
        if self._child is not None:
            self._child.send(signal.SIGKILL)
            self._child.stop(0.0)

    def _answers(self) -> bool:
        with (
            suppress(OSError),
            socket.create_connection((HOST, self._port), timeout=DEADLINE_S) as connection,
        ):
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A Redis that is ready, gone afterwards; without the program the test is skipped, but not in CI."""
    if shutil.which("redis-server") is None:
        assert "CI" not in os.environ, "redis-server is not installed: apt-get install redis-server"
        pytest.skip("redis-server is not installed")
    with Ports() as ports:
        server = RedisServer(folder, ports.reserve())
        try:
            server.start()
            yield server
        finally:
            server.kill()
