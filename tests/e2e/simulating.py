"""The simulator on a free port, in a thread of this process."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import uvicorn

from harness.simulator.journal import Journal
from harness.simulator.router import Router
from harness.simulator.serve import ModelSimulator
from harness.simulator.server import server_config
from harness.simulator.tracing import Tracing
from harness.simulator_config import SimulatorConfig
from tests.e2e.asking import HTTP
from tests.e2e.waiting import DEADLINE_S


@dataclass(frozen=True)
class Running:
    url: str
    simulator: ModelSimulator

    def told(self, config: SimulatorConfig) -> None:
        """Go on with `config`, as if just started."""
        self.simulator.configure(config)
        self.simulator.reset(None)


@contextlib.contextmanager
def running(config: SimulatorConfig | None = None, token: str | None = None) -> Iterator[Running]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        troubles: list[Exception] = []
        simulator = ModelSimulator(config or SimulatorConfig(), Journal(None), Tracing())
        server = uvicorn.Server(server_config(Router(simulator, token, troubles.append)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            _await_ready(url)
            yield Running(url, simulator)
        finally:
            server.should_exit = True
            thread.join(timeout=DEADLINE_S)
        assert not thread.is_alive(), "the server did not stop"
        assert not troubles


def _await_ready(url: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if HTTP.get(f"{url}/healthz", timeout=DEADLINE_S).status_code == 200:
                return
        time.sleep(0.02)
    raise AssertionError(f"{url} was not ready within {DEADLINE_S:.0f} s")
