"""Processes that tests of the load need, ready when they are handed out and gone afterwards."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from harness.fleet.ports import Ports
from tests.e2e.asking import HTTP
from tests.e2e.waiting import DEADLINE_S

CONTRACT_SERVER = Path(__file__).parent / "fixtures" / "contract_server.py"
CHAT_SERVER = Path(__file__).parent / "fixtures" / "chat_server.py"
RETRYING_AGENT = Path(__file__).parent / "fixtures" / "retrying_agent.py"


HELD = Ports()
"""The ports of this process' tests, held until they end: else what starts beside could get one as well."""


def free_port() -> int:
    """Return a port at which nothing listens, and at which only who is told of it does so."""
    return HELD.reserve()


@contextmanager
def contract_server(*stall: float) -> Iterator[str]:
    port = free_port()
    argv = [sys.executable, str(CONTRACT_SERVER), str(port), *map(str, stall)]
    with running(argv, f"http://127.0.0.1:{port}/ping"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def chat_server(token: str | None, takes_s: float = 0.0) -> Iterator[str]:
    port = free_port()
    argv = [sys.executable, str(CHAT_SERVER), str(port), token or "", str(takes_s)]
    with running(argv, f"http://127.0.0.1:{port}/ping"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def retrying_agent(model_url: str, tries: int) -> Iterator[str]:
    port = free_port()
    argv = [sys.executable, str(RETRYING_AGENT), str(port), model_url, str(tries)]
    with running(argv, f"http://127.0.0.1:{port}/ping"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def simulator(*options: str, token: str = "") -> Iterator[str]:
    port = free_port()
    argv = [sys.executable, "-m", "harness.simulator", "--port", str(port), *options]
    with running(argv, f"http://127.0.0.1:{port}/healthz", {"AGENTRIG_SIMULATOR_TOKEN": token}):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(
    argv: list[str], url: str, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(argv, env=os.environ | dict(env or {}))
    try:
        wait_for(process, url)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(process: subprocess.Popen[Any], url: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            HTTP.get(url, timeout=DEADLINE_S).raise_for_status()
        except httpx.HTTPError:
            assert process.poll() is None, f"{process.args} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{url} was not ready"
            time.sleep(0.05)
        else:
            return
