"""The tool server as a process, through the client that agents use."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from mcp.client.streamable_http import streamable_http_client
from strands.tools.mcp import MCPClient

from tests.e2e.asking import HTTP
from tests.e2e.collecting import collecting
from tests.e2e.serving import free_port, wait_for
from tests.e2e.waiting import DEADLINE_S

pytestmark = pytest.mark.e2e

CALL = """
import sys
import httpx
from mcp.client.streamable_http import streamable_http_client
from strands.tools.mcp import MCPClient

http = httpx.AsyncClient(headers={"traceparent": sys.argv[2]})
with MCPClient(lambda: streamable_http_client(sys.argv[1], http_client=http)) as tools:
    assert tools.call_tool_sync("t", "search", {"query": "x"})["status"] == "success"
"""
HANDSHAKE_S = 0.8
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@contextmanager
def tool_server(
    port: int, *args: str, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-m", "harness.simulator.mcp_server", "--port", str(port), *args]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, env=os.environ | (env or {}))
    try:
        wait_for(process, f"http://127.0.0.1:{port}/healthz")
        yield process
    finally:
        process.kill()
        process.communicate()


def client(port: int) -> MCPClient:
    return MCPClient(lambda: streamable_http_client(f"http://127.0.0.1:{port}/mcp"))


def text(result: object) -> str:
    assert isinstance(result, dict)
    assert result["status"] == "success"
    return str(result["content"][0]["text"])


@pytest.fixture(scope="module")
def usual() -> Iterator[int]:
    """The port of one that nobody told anything, for tests that leave it as it was."""
    port = free_port()
    with tool_server(port):
        yield port


def test_an_agents_client_finds_the_tool_and_gets_the_same_answer_each_time(usual: int) -> None:
    with client(usual) as tools:
        assert [tool.tool_name for tool in tools.list_tools_sync()] == ["search"]
        answers = [
            text(tools.call_tool_sync(f"t{n}", "search", {"query": query}))
            for n, query in enumerate(["tails", "tails", "queues"])
        ]
    assert answers[0] == answers[1] != answers[2]


TOOLS = """
[[tools]]
name = "weather"
result = "Rain."
input_schema = { type = "object", properties = { city = { type = "string" } }, required = ["city"] }

[[tools]]
name = "search"
"""


@pytest.mark.parametrize("protocol", ["2025-11-25", "2026-07-28"])
def test_the_tools_of_a_file_are_served_in_either_version(tmp_path: Path, protocol: str) -> None:
    file, port = tmp_path / "tools.toml", free_port()
    file.write_text(f'protocol = "{protocol}"\n{TOOLS}')
    with tool_server(port, "--tools", str(file)), client(port) as tools:
        assert [tool.tool_name for tool in tools.list_tools_sync()] == ["weather", "search"]
        assert text(tools.call_tool_sync("a", "weather", {"city": "Oslo"})) == "Rain."
        assert tools.call_tool_sync("b", "weather", {})["status"] == "error"


def test_a_tool_fails_in_a_result_and_a_session_is_forgotten(tmp_path: Path) -> None:
    file, port = tmp_path / "tools.toml", free_port()
    faults = """
[[faults]]
kind = "error_result"
tool = "weather"

[[faults]]
kind = "session_forgotten"
tool = "search"
"""
    file.write_text(f'protocol = "2025-11-25"\n{TOOLS}{faults}')
    with tool_server(port, "--tools", str(file)), client(port) as tools:
        failed = tools.call_tool_sync("a", "weather", {"city": "Oslo"})
        assert (failed["status"], "simulated" in str(failed["content"])) == ("error", True)
        forgotten = tools.call_tool_sync("b", "search", {"query": "x"})
        assert (forgotten["status"], "ession" in str(forgotten["content"])) == ("error", True)


def test_a_list_of_tools_that_never_comes_is_given_up_by_the_caller(tmp_path: Path) -> None:
    file, port = tmp_path / "tools.toml", free_port()
    file.write_text(f'{TOOLS}\n[[faults]]\nkind = "hang"\nmethod = "tools/list"\ntimes = 1\n')
    with tool_server(port, "--tools", str(file)):
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        with pytest.raises(httpx.ReadTimeout):
            HTTP.post(f"http://127.0.0.1:{port}/mcp", json=message, timeout=0.5)
        with client(port) as tools:
            assert len(tools.list_tools_sync()) == 2


def test_a_handshake_costs_what_it_is_told_and_a_call_does_not() -> None:
    port = free_port()
    with tool_server(port, "--handshake-s", str(HANDSHAKE_S)):
        begun = time.monotonic()
        with client(port) as tools:
            shaken_s = time.monotonic() - begun
            called_s = []
            for number in range(5):
                begun = time.monotonic()
                tools.call_tool_sync(f"t{number}", "search", {"query": "x"})
                called_s.append(time.monotonic() - begun)
    assert shaken_s > HANDSHAKE_S
    assert min(called_s) < HANDSHAKE_S


def test_clients_that_are_connected_do_not_keep_it_from_stopping() -> None:
    port = free_port()
    with tool_server(port) as process, client(port) as one, client(port) as other:
        one.list_tools_sync()
        other.list_tools_sync()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


def test_many_clients_at_once_are_served(usual: int) -> None:
    answers: list[str] = []

    def handshakes() -> int:
        told = HTTP.get(f"http://127.0.0.1:{usual}/handshakes", timeout=DEADLINE_S).json()
        return int(told["handshakes"])

    def one(number: int) -> None:
        with client(usual) as tools:
            answers.append(text(tools.call_tool_sync("t", "search", {"query": str(number)})))

    before = handshakes()
    threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=DEADLINE_S)
    assert len(set(answers)) == 8
    assert handshakes() - before == 8


def test_a_port_in_use_is_told_in_one_line(usual: int) -> None:
    argv = [sys.executable, "-m", "harness.simulator.mcp_server", "--port", str(usual)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 4
    assert str(usual) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_call_is_a_server_span_below_the_callers() -> None:
    port = free_port()
    with collecting() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_SERVICE_NAME": "mcp-server"}
        with tool_server(port, env=env) as process:
            # In a process of its own: a client in one that traces sends its own trace along.
            address, parent = f"http://127.0.0.1:{port}/mcp", f"00-{TRACE}-{PARENT}-01"
            subprocess.run([sys.executable, "-c", CALL, address, parent], check=True, timeout=DEADLINE_S)
            process.terminate()
            assert process.wait(DEADLINE_S) == 0
    scopes = [scope for resource in collector.resources() for scope in resource.scope_spans]
    spans = [span for scope in scopes for span in scope.spans]
    calls = [span for span in spans if "search" in span.name]
    assert [span.trace_id.hex() for span in calls] == [TRACE]
