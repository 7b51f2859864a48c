"""What never ends, drips or swells, over real sockets: the harness's own calls, and its servers."""

import asyncio
import gzip
import json
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

import httpx
import psutil
import pytest

from harness.outside.bounded_http import MOST_HEAD_BYTES
from harness.outside.http import bounded, control_client, tell
from harness.own.examine import fetch_status
from tests.e2e.asking import HTTP
from tests.e2e.serving import free_port, running
from tests.e2e.waiting import DEADLINE_S

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WITHIN_S = 20.0
"""Far above the deadlines here, far below what a drip would take."""


@contextmanager
def answering(pieces: Callable[[], Iterator[bytes]], pause_s: float = 0.0) -> Iterator[str]:
    """A server that answers each request with some pieces, one after the other."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                self.request.recv(65536)
                for piece in pieces():
                    self.request.sendall(piece)
                    time.sleep(pause_s)
            except OSError:
                pass  # who asked has hung up

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def dripping_head() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(10_000):
        yield b"X-%d: y\r\n" % number if number < 80 else b"z"


def dripping_body() -> Iterator[bytes]:
    yield HEAD + b"Content-Length: 10000\r\n\r\n"
    for _ in range(10_000):
        yield b" "


def endless_body() -> Iterator[bytes]:
    yield HEAD + b"\r\n"
    while True:
        yield b" " * 65536


def packed_body() -> Iterator[bytes]:
    bomb = gzip.compress(b"0" * 100_000_000)
    yield HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb


@pytest.mark.parametrize("pieces", [dripping_head, dripping_body])
def test_a_call_ends_at_its_deadline_however_the_answer_drips(pieces: Callable[[], Iterator[bytes]]) -> None:
    with answering(pieces, pause_s=0.1) as url, control_client(1.0) as client:
        begun_s = time.monotonic()
        with pytest.raises(httpx.TimeoutException, match="no whole answer within 1 s"):
            client.get(url)
        assert time.monotonic() - begun_s < WITHIN_S


@pytest.mark.parametrize("pieces", [endless_body, packed_body])
def test_an_answer_has_a_size(pieces: Callable[[], Iterator[bytes]]) -> None:
    with (
        answering(pieces) as url,
        control_client(WITHIN_S, most_bytes=1_000_000) as client,
        pytest.raises(httpx.RemoteProtocolError, match=r"larger than 1000000 bytes|it is packed"),
    ):
        client.get(url)


def cut_body() -> Iterator[bytes]:
    yield HEAD + b'Content-Length: 100\r\n\r\n{"traces": []}'


def cut_chunks() -> Iterator[bytes]:
    yield HEAD + b'Transfer-Encoding: chunked\r\n\r\ne\r\n{"traces": []}\r\n'


@pytest.mark.parametrize("pieces", [cut_body, cut_chunks])
def test_an_answer_that_is_cut_off_is_none_though_it_could_be_read(
    pieces: Callable[[], Iterator[bytes]],
) -> None:
    with (
        answering(pieces) as url,
        control_client(WITHIN_S) as client,
        pytest.raises(httpx.RemoteProtocolError, match="IncompleteRead"),
    ):
        client.get(url)


@pytest.mark.parametrize("pieces", [dripping_head, dripping_body])
def test_an_asynchronous_call_ends_as_well(pieces: Callable[[], Iterator[bytes]]) -> None:
    async def ask(url: str) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await bounded(client, client.build_request("GET", url), deadline_s=1.0)

    with answering(pieces, pause_s=0.1) as url:
        begun_s = time.monotonic()
        with pytest.raises(httpx.TimeoutException):
            asyncio.run(ask(url))
        assert time.monotonic() - begun_s < WITHIN_S


def test_the_doctor_takes_what_drips_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.own.examine.TIMEOUT_S", 1.0)
    with answering(dripping_body, pause_s=0.1) as url:
        begun_s = time.monotonic()
        assert fetch_status(url) is None
        assert time.monotonic() - begun_s < WITHIN_S


def test_conform_keeps_to_its_timeout(tmp_path: Path) -> None:
    with answering(dripping_body, pause_s=0.1) as url:
        argv = [sys.executable, "-m", "harness", "conform", url, "--timeout-s", "1", "--concurrency", "1"]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 4, done.stderr
    assert "no whole answer within 1 s" in done.stderr


def test_a_part_that_is_gone_is_a_sentence() -> None:
    with pytest.raises(Exception, match=r"POST http://127\.0\.0\.1:\d+/sim/reset: .*refused"):
        tell("POST", f"http://127.0.0.1:{free_port()}/sim/reset", json={})


# --- servers ---------------------------------------------------------------------------
@contextmanager
def server(kind: str, folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    port = free_port()
    argv = {
        "capture": [sys.executable, "-m", "harness.capture", "--port", str(port), "--out", str(folder)],
        "simulator": [sys.executable, "-m", "harness.simulator", "--port", str(port)],
        "tools": [sys.executable, "-m", "harness.simulator.mcp_server", "--port", str(port)],
        "agent": [sys.executable, "-m", "reference_agent"],
    }[kind]
    env = {"PORT": str(port), "OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    env["AGENT_SESSION_STORE"] = f"sqlite:///{folder}/sessions.db"
    path = "/ping" if kind == "agent" else "/healthz"
    with running(argv, f"http://127.0.0.1:{port}{path}", env) as process:
        yield port, psutil.Process(process.pid)


Servers = Callable[[str], tuple[int, psutil.Process]]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """One of each kind, from the first that asks for it on: what comes leaves it as it was for the next."""
    with ExitStack() as stack:
        yield cache(lambda kind: stack.enter_context(server(kind, tmp_path_factory.mktemp(kind))))


def send_until_cut(near: socket.socket, most: int) -> int:
    """Send on and on, and give how many bytes were taken."""
    for sent in range(0, most, 65536):
        try:
            near.sendall(b"x" * 65536)
        except OSError:
            return sent
    return most


KINDS = ("capture", "simulator", "tools", "agent")


PATHS = {
    "capture": "/v1/traces",
    "simulator": "/v1/chat/completions",
    "tools": "/mcp",
    "agent": "/invocations",
}
ENDLESS = (
    b"X-Endless: ",  # in the head, or after the body
    b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Endless: ",
)


@pytest.mark.parametrize("endless", ENDLESS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_head_without_an_end_is_cut_and_takes_no_memory(
    kind: str, endless: bytes, servers: Servers
) -> None:
    port, process = servers(kind)
    before = process.memory_info().rss
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as near:
        near.sendall(f"POST {PATHS[kind]} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode() + endless)
        assert send_until_cut(near, 200_000_000) < 20_000_000
    assert process.memory_info().rss - before < 50_000_000
    assert HTTP.get(f"http://127.0.0.1:{port}/{'ping' if kind == 'agent' else 'healthz'}").is_success


WEBSOCKET = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def test_a_websocket_is_refused_and_a_head_that_is_half_sent_does_not_stay(servers: Servers) -> None:
    """All at once, for each takes its time."""
    with ExitStack() as stack:
        half: dict[str, socket.socket] = {}
        for kind in KINDS:
            port, _ = servers(kind)
            half[kind] = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            half[kind].sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nX-Ha")
            half[kind].settimeout(60)
            for path in (PATHS[kind], "/ws"):
                with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as near:
                    near.sendall(WEBSOCKET.format(path=path).encode())
                    assert near.recv(1000).startswith(b"HTTP/1.1 4"), (kind, path)
        for kind, near in half.items():
            with suppress(ConnectionResetError):
                assert near.recv(1000) == b"", kind


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 100_000, b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + b"[" * 900],
)
@pytest.mark.parametrize("kind", KINDS)
def test_json_that_is_nested_without_an_end_is_the_senders_fault(
    kind: str, body: bytes, servers: Servers
) -> None:
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    port, _ = servers(kind)
    answer = HTTP.post(
        f"http://127.0.0.1:{port}{PATHS[kind]}", content=body, headers=headers, timeout=DEADLINE_S
    )
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"resourceSpans": [' + b"{}," * 20_000_000 + b"{}]}", "application/json"),
        (b"\x0a\x00" * 30_000_000, "application/x-protobuf"),
        (json.dumps({"resourceSpans": [{"scopeSpans": [{}] * 1_000_000}]}).encode(), "application/json"),
    ],
)
def test_a_small_gzip_takes_no_memory(body: bytes, kind: str, tmp_path: Path) -> None:
    packed = gzip.compress(body)
    with server("capture", tmp_path) as (port, process):
        before = process.memory_info().rss
        headers = {"content-type": kind, "content-encoding": "gzip"}
        answer = HTTP.post(
            f"http://127.0.0.1:{port}/v1/traces", content=packed, headers=headers, timeout=DEADLINE_S
        )
        grown = process.memory_info().rss - before
    assert answer.status_code == 413 or len(body) <= 8 * 1024 * 1024
    assert grown < 100_000_000 + 60 * min(len(body), 8 * 1024 * 1024)


def test_the_bounds_are_above_what_is_usual(servers: Servers) -> None:
    port, _ = servers("capture")
    headers = {"x-long": "y" * (MOST_HEAD_BYTES // 2), "content-type": "application/json"}
    answer = HTTP.post(f"http://127.0.0.1:{port}/v1/traces", content=b"{}", headers=headers)
    assert answer.is_success
