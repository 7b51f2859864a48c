"""The agent as its own process: what the network and a lost tool server make of it."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.simulator_config import FaultRule, Latency, SimulatorConfig
from tests.e2e.asking import HTTP
from tests.e2e.serving import free_port, wait_for
from tests.e2e.simulating import Running
from tests.e2e.simulating import running as simulator_running
from tests.e2e.waiting import DEADLINE_S, until

pytestmark = pytest.mark.e2e

WITH_SESSIONS = 'protocol = "2025-11-25"\n[[tools]]\nname = "search"\n'
"""For a tool server: an older version of MCP, and the newer one has none."""


@pytest.fixture(scope="module")
def model() -> Iterator[Running]:
    with simulator_running() as started:
        yield started


@contextmanager
def process(argv: list[str], url: str, env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        child = subprocess.Popen(argv, env=env, stdout=out, stderr=out)
    try:
        wait_for(child, url)
        yield child
    finally:
        child.kill()
        child.wait()


@contextmanager
def agent(model: Running, folder: Path, **env: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PORT": str(port),
        "OPENAI_BASE_URL": f"{model.url}/v1",
        "OPENAI_API_KEY": "sk-test",
        "AGENT_SESSION_STORE": f"sqlite:///{folder / 'sessions.db'}",
        "AGENT_RETRY_BASE_S": "0",
        **env,
    }
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "reference_agent"]
    with process(argv, f"{url}/livez", environment, folder / "agent.log") as child:
        yield url, child


@pytest.fixture(scope="module")
def url(model: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An agent for tests that leave it as it was: they look at single connections, and not at its start."""
    with agent(model, tmp_path_factory.mktemp("agent")) as (address, _):
        yield address


def ask(url: str, **headers: str) -> httpx.Response:
    return HTTP.post(
        f"{url}/invocations", json={"prompt": "What is a tail?"}, headers=headers, timeout=DEADLINE_S
    )


def in_flight(url: str) -> float:
    lines = HTTP.get(f"{url}/metrics", timeout=DEADLINE_S).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("agentrig_inflight "))


def test_sixty_streamed_requests_use_one_connection(model: Running, url: str) -> None:
    model.told(SimulatorConfig())
    with httpx.Client(timeout=DEADLINE_S) as http:
        for _ in range(60):
            assert http.post(f"{url}/invocations", json={"prompt": "hi"}).status_code == 200
    connections = {entry.connection for _, entry in model.simulator.journal.since(0)}
    assert model.simulator.journal.count == 60
    assert len(connections) == 1


def test_a_caller_that_hangs_up_is_noticed_over_the_network(model: Running, url: str) -> None:
    model.told(SimulatorConfig(faults=(FaultRule(kind="stall"),)))
    impatient = httpx.Timeout(DEADLINE_S, read=0.5)
    for headers in ({}, {"accept": "text/event-stream"}):
        with pytest.raises(httpx.ReadTimeout):
            HTTP.post(f"{url}/invocations", json={"prompt": "hi"}, headers=headers, timeout=impatient)
        until("a free slot", lambda: in_flight(url) == 0)


@contextmanager
def tool_server(port: int, folder: Path, *options: str) -> Iterator[None]:
    argv = [sys.executable, "-m", "harness.simulator.mcp_server", "--port", str(port), *options]
    with process(argv, f"http://127.0.0.1:{port}/healthz", dict(os.environ), folder / "mcp.log"):
        yield


def inits(url: str, client: str) -> float:
    name = f'agentrig_client_init_duration_seconds_count{{agentrig_client_name="{client}"}} '
    lines = HTTP.get(f"{url}/metrics", timeout=DEADLINE_S).text.splitlines()
    return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def test_a_tool_server_that_was_gone_is_connected_to_once_more(model: Running, tmp_path: Path) -> None:
    model.told(SimulatorConfig(tool_turns=1))
    port = free_port()
    with agent(model, tmp_path, MCP_SERVER_URL=f"http://127.0.0.1:{port}/mcp") as (url, _):
        with tool_server(port, tmp_path):
            assert ask(url).status_code == 200
        assert ask(url).status_code == 200  # the model is told that the tool failed
        assert inits(url, "mcp") == 1
        unavailable = ask(url)
        assert (unavailable.status_code, unavailable.json()["error_type"]) == (503, "client_unavailable")
        with tool_server(port, tmp_path):
            until("the tools again", lambda: ask(url).status_code == 200)
            built = inits(url, "mcp")
            for _ in range(5):
                assert ask(url).status_code == 200
            assert inits(url, "mcp") == built
        assert inits(url, "llm") == 1


def test_a_session_that_another_replica_does_not_know_is_opened_anew(model: Running, tmp_path: Path) -> None:
    model.told(SimulatorConfig(tool_turns=1))
    tools = tmp_path / "tools.toml"
    tools.write_text(WITH_SESSIONS)
    port = free_port()

    def handshakes() -> int:
        told = HTTP.get(f"http://127.0.0.1:{port}/handshakes", timeout=DEADLINE_S).json()
        return int(told["handshakes"])

    def what_tools_gave() -> list[str]:
        with closing(sqlite3.connect(tmp_path / "sessions.db")) as db:
            turns = "".join(turn for (turn,) in db.execute("SELECT messages FROM turns ORDER BY version"))
        return re.findall(r'"status":"(\w+)"', turns)

    session = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "one"}
    with agent(model, tmp_path, MCP_SERVER_URL=f"http://127.0.0.1:{port}/mcp") as (url, _):
        with tool_server(port, tmp_path, "--tools", str(tools)):
            assert ask(url, **session).status_code == 200
        with tool_server(port, tmp_path, "--tools", str(tools)):
            assert ask(url, **session).status_code == 200  # the tool is asked again, in a session of its own
            assert handshakes() == 1
            assert ask(url, **session).status_code == 200
            assert handshakes() == 1
        assert what_tools_gave() == ["success"] * 3
        assert inits(url, "mcp") == 2


def test_tokens_arrive_one_by_one(model: Running, url: str) -> None:
    model.told(SimulatorConfig(latency=Latency(tokens=5)))
    streamed: Any = {
        "url": "/invocations",
        "json": {"prompt": "hi"},
        "headers": {"accept": "text/event-stream"},
    }
    with httpx.Client(base_url=url, timeout=DEADLINE_S) as http:
        with http.stream("POST", **streamed) as answer:
            assert len([line for line in answer.iter_lines() if line]) == 6
        model.told(SimulatorConfig(faults=(FaultRule(kind="stall", after_chunks=3),)))
        with http.stream("POST", **streamed) as answer:  # the model says some words, and then no more
            lines = (line for line in answer.iter_lines() if line)
            assert next(lines) != next(lines)


def test_headers_over_the_limit_are_refused(url: str) -> None:
    assert HTTP.get(f"{url}/ping", headers={"x": "y" * 40_000}, timeout=DEADLINE_S).status_code == 400
    assert HTTP.get(f"{url}/ping", headers={"x": "y" * 20_000}, timeout=DEADLINE_S).status_code == 200
