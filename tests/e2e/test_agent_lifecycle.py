"""An agent process from its start to its end: what it refuses, what it finishes, how it leaves."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harness.fleet.ports import HOST
from harness.process.child import Child
from reference_agent.contract import BUSY_HEADER
from tests.e2e.agents import CLOCK, agents
from tests.e2e.asking import HTTP
from tests.e2e.waiting import DEADLINE_S, until
from tests.reference_agent.wire import DONE, USAGE, chunk

pytestmark = pytest.mark.e2e

NEVER_S = 3600.0
"""Far longer than anything here waits."""
WRONG_SETTINGS = 3
DOCKER_STOP_S = 10.0
"""From SIGTERM to SIGKILL, unless it is told otherwise."""


@contextmanager
def gated_model() -> Iterator[tuple[str, threading.Event]]:
    """A model that answers once it is told to: its address, and what tells it."""
    told = threading.Event()
    answer = [chunk({"role": "assistant"}), chunk({"content": "ok"}), chunk({}, "stop"), USAGE, DONE]

    class Model(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            told.wait()
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("content-length", str(len(b"".join(answer))))
            self.end_headers()
            self.wfile.write(b"".join(answer))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((HOST, 0), Model) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}/v1", told
        finally:
            told.set()
            server.shutdown()
            thread.join()


@contextmanager
def collector() -> Iterator[tuple[str, list[str]]]:
    """A receiver of OTLP: its address, and the names of the spans that came."""
    names: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    names.extend(span.name for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer((HOST, 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_port}", names
        finally:
            server.shutdown()
            thread.join()


def ask(url: str, **headers: str) -> httpx.Response:
    return HTTP.post(f"{url}/invocations", json={"prompt": "hi"}, headers=headers, timeout=NEVER_S)


@contextmanager
def asked(url: str, beside: int = 1, **headers: str) -> Iterator[Future[httpx.Response]]:
    """A request that is in work, as one of so many."""
    with ThreadPoolExecutor(1) as hand:
        answer = hand.submit(ask, url, **headers)
        until("it at work", lambda: f"agentrig_inflight {beside}.0" in get(url, "/metrics").text)
        yield answer


def get(url: str, path: str) -> httpx.Response:
    return HTTP.get(f"{url}{path}", timeout=DEADLINE_S)


def draining(url: str) -> bool:
    return bool(get(url, "/readyz").json()["reason"] == "draining")


def left(child: Child) -> int:
    """Return the exit status of an agent that leaves, long before `NEVER_S`."""
    until("its end", lambda: child.poll() is not None)
    death = child.poll()
    assert death is not None
    assert "Traceback" not in death.log.read_text()
    return death.status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_agent_leaves_at_once(number: signal.Signals, tmp_path: Path) -> None:
    with agents(tmp_path, 1, 0.0, AGENT_DRAIN_S=str(NEVER_S)) as fleet:
        fleet.children[0].send(number)
        assert left(fleet.children[0]) == 0


JSON, EVENTS = "application/json", "text/event-stream"


def test_an_agent_told_to_leave_finishes_what_is_in_work_and_takes_nothing_new(tmp_path: Path) -> None:
    with (
        collector() as (address, names),
        gated_model() as (model, told),
        agents(
            tmp_path,
            1,
            0.0,
            OPENAI_BASE_URL=model,
            AGENT_DRAIN_S=str(NEVER_S),
            OTEL_EXPORTER_OTLP_ENDPOINT=address,
            OTEL_BSP_SCHEDULE_DELAY="3600000",
        ) as fleet,
        asked(fleet.urls[0], accept=JSON) as whole,
        asked(fleet.urls[0], 2, accept=EVENTS) as streamed,
    ):
        url, child = fleet.urls[0], fleet.children[0]
        child.send(signal.SIGTERM)
        until("it drain", lambda: draining(url))
        assert get(url, "/readyz").status_code == 503
        assert get(url, "/livez").status_code == get(url, "/ping").status_code == 200
        refused = ask(url)
        assert (refused.status_code, refused.headers[BUSY_HEADER], refused.content) == (503, "1", b"")
        assert not whole.done()
        assert not streamed.done()
        told.set()
        for answer in (whole, streamed):
            assert answer.result().status_code == 200
            assert '"result":' in answer.result().text
        assert left(child) == 0
    assert names.count("POST /invocations") == 3
    assert {"invoke_agent agentrig", "session.save", "client.init llm"} <= set(names)
    assert sum(name.startswith("chat ") for name in names) == 2


def test_requests_that_never_end_are_given_up_and_their_spans_are_handed_in(tmp_path: Path) -> None:
    with (
        collector() as (address, names),
        agents(
            tmp_path,
            1,
            NEVER_S,
            AGENT_DRAIN_S="0.5",
            OTEL_EXPORTER_OTLP_ENDPOINT=address,
            OTEL_BSP_SCHEDULE_DELAY="3600000",
        ) as fleet,
        asked(fleet.urls[0], accept=JSON) as whole,
        asked(fleet.urls[0], 2, accept=EVENTS) as streamed,
    ):
        fleet.children[0].send(signal.SIGTERM)
        assert left(fleet.children[0]) == 0
        for accept, told in ((JSON, whole.result()), (EVENTS, streamed.result())):
            if told.status_code == 503:
                assert (told.json()["error_type"], told.headers["retry-after"]) == ("draining", "1")
            else:  # a stream had sent its headers by then
                assert (accept, told.status_code) == (EVENTS, 200)
                assert '"error_type":"draining"' in told.text.splitlines()[-2]
    assert names.count("invoke_agent agentrig") == names.count("POST /invocations") == 2
    assert sum(name.startswith("POST /v1/") for name in names) == 2
    assert "session.save" not in names


def test_a_body_that_does_not_come_while_an_agent_leaves_is_told_to_go_elsewhere(tmp_path: Path) -> None:
    head = f"POST /invocations HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 100\r\n\r\n"
    with agents(tmp_path, 1, 0.0, AGENT_DRAIN_S="0.5") as fleet:
        url, child = fleet.urls[0], fleet.children[0]
        with socket.create_connection((HOST, int(url.rpartition(":")[2]))) as slow:
            slow.sendall(head.encode() + b'{"prompt": ')
            until("it at work", lambda: "agentrig_inflight 1.0" in get(url, "/metrics").text)
            child.send(signal.SIGTERM)
            slow.settimeout(DEADLINE_S)
            answer = b"".join(iter(lambda: slow.recv(65536), b"")).decode()
        assert left(child) == 0
    assert answer.startswith("HTTP/1.1 503 ")
    assert f"\r\n{BUSY_HEADER}: 1\r\n" in answer
    assert json.loads(answer.partition("\r\n\r\n")[2])["error_type"] == "draining"


def test_told_twice_an_agent_leaves_what_is_in_work(tmp_path: Path) -> None:
    with agents(tmp_path, 1, NEVER_S, AGENT_DRAIN_S=str(NEVER_S)) as fleet, asked(fleet.urls[0]):
        url, child = fleet.urls[0], fleet.children[0]
        child.send(signal.SIGTERM)
        until("it drain", lambda: draining(url))
        child.send(signal.SIGTERM)
        assert left(child) == 0


@pytest.mark.alone
def test_by_default_leaving_fits_what_docker_stop_gives(tmp_path: Path) -> None:
    with socket.socket() as nobody:  # takes spans, and never says so
        nobody.bind((HOST, 0))
        nobody.listen()
        collector_url = f"http://{HOST}:{nobody.getsockname()[1]}"
        with (
            agents(tmp_path, 1, NEVER_S, OTEL_EXPORTER_OTLP_ENDPOINT=collector_url) as fleet,
            asked(fleet.urls[0]) as answer,
        ):
            begun_s = CLOCK.monotonic()
            fleet.children[0].send(signal.SIGTERM)
            assert left(fleet.children[0]) == 0
            assert CLOCK.monotonic() - begun_s < DOCKER_STOP_S
            assert answer.result().json()["error_type"] == "draining"


def catches(pid: int, number: signal.Signals) -> bool:
    """Return whether a process has a handler of its own for a signal."""
    told = Path(f"/proc/{pid}/status").read_text()
    caught = re.search(r"^SigCgt:\s*(\w+)", told, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells of handlers")
def test_an_agent_told_to_leave_while_it_still_imports_leaves_in_order() -> None:
    env = os.environ | {"AGENT_SESSION_STORE": "file.db"}  # once all is imported, it would leave with 3
    process = subprocess.Popen(
        [sys.executable, "-m", "reference_agent"], env=env, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            until("its handler", lambda: catches(process.pid, signal.SIGTERM))
            process.terminate()
            _, errors = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")


def begun(tmp_path: Path, **env: str) -> tuple[int, str]:
    """Return exit status and output, errors first, of an agent that cannot start."""
    done = subprocess.run(
        [sys.executable, "-m", "reference_agent"],
        env={**os.environ, **env},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return done.returncode, done.stderr + done.stdout


WRONG = (
    ("PORT", "eighty"),
    ("AGENT_CONCURRENCY_LIMIT", "0"),
    ("AGENT_CONTROLS", "no-such"),
    ("AGENT_SESSION_STORE", "file.db"),
    ("AGENT_SESSION_STORE", "redis://host:port/0"),
    ("OPENAI_API_KEY", ""),
    ("OPENAI_BASE_URL", "model.example/v1"),
)
EACH = """
import json, os, runpy, signal, sys
from reference_agent import after_answer, app, controls, server  # once for all: it takes longest

for number, settings in enumerate(json.loads(sys.argv[1])):
    if (child := os.fork()) == 0:
        signal.alarm(120)  # what takes a wrong setting would serve for ever
        os.environ.update(settings)
        said = os.open(f"{number}.log", os.O_WRONLY | os.O_CREAT)
        os.dup2(said, 1)
        os.dup2(said, 2)
        runpy.run_module("reference_agent", run_name="__main__", alter_sys=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], tuple[int, str]]:
    """Exit status and output of an agent with each wrong setting."""
    folder = tmp_path_factory.mktemp("refused")
    settings = [{"OPENAI_API_KEY": "sk-test", name: value} for name, value in WRONG]
    done = subprocess.run(
        [sys.executable, "-c", EACH, json.dumps(settings)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    statuses = [int(line) for line in done.stdout.splitlines()]
    said = [(folder / f"{number}.log").read_text() for number in range(len(WRONG))]
    return dict(zip(WRONG, zip(statuses, said, strict=True), strict=True))


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_setting_is_told_by_its_name(
    name: str, value: str, refused: dict[tuple[str, str], tuple[int, str]]
) -> None:
    status, out = refused[name, value]
    assert status == WRONG_SETTINGS
    assert out.startswith(f"{name}: ")
    assert len(out.splitlines()) == 1


def test_a_wrong_setting_that_is_seen_late_is_all_that_is_told(tmp_path: Path) -> None:
    status, out = begun(tmp_path, OPENAI_API_KEY="sk-test", AGENT_SESSION_STORE="file.db")
    assert (status, out.count("\n")) == (WRONG_SETTINGS, 1)
    assert out.startswith("AGENT_SESSION_STORE: ")


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = str(other.getsockname()[1])
        status, out = begun(tmp_path, PORT=port, OPENAI_API_KEY="sk-test")
    assert status == WRONG_SETTINGS
    assert re.search(rf"{port}.*in use", out)
    assert "Traceback" not in out
