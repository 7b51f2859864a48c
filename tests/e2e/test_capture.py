import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harness.capture import decode
from harness.capture.frames import count
from harness.clock import SystemClock
from harness.fleet.ports import Ports
from harness.fleet.readiness import ReadinessTarget, http_fetch, wait_ready
from harness.process.child import Child
from tests.e2e.waiting import DEADLINE_S, until
from tests.harness.capture.otlp import request

pytestmark = pytest.mark.e2e

PROTOBUF = {"content-type": "application/x-protobuf"}
TIMES_PARSING = 10
"""What a span may cost the capture, in terms of what it costs to parse it: four where nobody else works."""


class Capture:
    def __init__(self, folder: Path, port: int, *args: str) -> None:
        argv = [
            sys.executable,
            "-m",
            "harness.capture",
            "--port",
            str(port),
            "--out",
            str(folder / "out"),
            *args,
        ]
        self.child = Child("capture", argv, {"PATH": os.environ["PATH"]}, folder / "logs", SystemClock())
        self.traces = folder / "out" / "traces.raw"
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=DEADLINE_S)
        self.child.start()
        target = ReadinessTarget(self.child, f"http://127.0.0.1:{port}/healthz")
        try:
            wait_ready([target], deadline_s=DEADLINE_S, clock=SystemClock(), fetch=http_fetch(self.http))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.http.close()
        self.child.stop(grace_s=DEADLINE_S)


@pytest.fixture
def port() -> Iterator[int]:
    with Ports() as ports:
        yield ports.reserve()


@pytest.fixture
def capture(tmp_path: Path, port: int) -> Iterator[Capture]:
    rig = Capture(tmp_path, port)
    yield rig
    rig.close()


def exit_status(child: Child) -> int:
    until("its end", lambda: child.poll() is not None)
    death = child.poll()
    assert death is not None
    return death.status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_status_0_and_has_every_span_on_disk(capture: Capture, number: signal.Signals) -> None:
    for name in ("one", "two", "three"):
        answer = capture.http.post("/v1/traces", content=request(name).SerializeToString(), headers=PROTOBUF)
        assert answer.status_code == 200
    capture.child.send(number)
    assert exit_status(capture.child) == 0, capture.child.last_lines()
    names = [span.name for span in decode.spans(decode.otlp_json_lines(capture.traces))]
    assert names == ["one", "two", "three"]


def test_killed_it_has_every_span_that_it_said_it_took(capture: Capture) -> None:
    for _ in range(20):
        capture.http.post("/v1/traces", content=request().SerializeToString(), headers=PROTOBUF)
    capture.child.send(signal.SIGKILL)
    assert exit_status(capture.child) == -signal.SIGKILL
    assert count(capture.traces).frames == 20


def test_a_port_in_use_ends_it_with_a_message(tmp_path: Path, capture: Capture, port: int) -> None:
    argv = [sys.executable, "-m", "harness.capture", "--port", str(port), "--out", str(tmp_path / "b")]
    second = Child("second", argv, {"PATH": os.environ["PATH"]}, tmp_path / "logs", SystemClock())
    second.start()
    assert exit_status(second) != 0
    assert "address already in use" in second.last_lines()[-1]
    assert not any("Traceback" in line for line in second.last_lines())


def test_a_folder_that_cannot_be_made_ends_it_with_a_message(tmp_path: Path, port: int) -> None:
    argv = [sys.executable, "-m", "harness.capture", "--port", str(port), "--out", "/proc/nothing"]
    child = Child("capture", argv, {"PATH": os.environ["PATH"]}, tmp_path, SystemClock())
    child.start()
    assert exit_status(child) == 4
    assert child.last_lines() == (
        "capture: /proc/nothing: cannot be made: No such file or directory. Give another --out.",
    )


class Jaeger(ThreadingHTTPServer):
    """Takes everything that is posted."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Take)
        self.bodies: list[bytes] = []
        self.delay_s = 0.0


class Take(BaseHTTPRequestHandler):
    server: Jaeger

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        time.sleep(self.server.delay_s)
        self.server.bodies.append(body)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass


@pytest.fixture
def jaeger() -> Iterator[Jaeger]:
    with Jaeger() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_what_still_waits_to_be_sent_on_is_sent_before_it_ends(
    tmp_path: Path, port: int, jaeger: Jaeger
) -> None:
    jaeger.delay_s = 0.1
    rig = Capture(tmp_path, port, "--forward", f"http://127.0.0.1:{jaeger.server_port}")
    try:
        bodies = [request(str(n)).SerializeToString() for n in range(10)]
        for body in bodies:
            rig.http.post("/v1/traces", content=body, headers=PROTOBUF)
        rig.child.send(signal.SIGTERM)
        assert exit_status(rig.child) == 0
    finally:
        rig.close()
    assert sorted(jaeger.bodies) == sorted(bodies)


def test_nobody_to_send_on_to_holds_nothing_up_and_is_counted(tmp_path: Path, port: int) -> None:
    with Ports() as ports:
        rig = Capture(tmp_path, port, "--forward", f"http://127.0.0.1:{ports.reserve()}")
        try:
            for _ in range(5):
                answer = rig.http.post("/v1/traces", content=request().SerializeToString(), headers=PROTOBUF)
                assert answer.status_code == 200
            until("all failed", lambda: rig.http.get("/stats").json()["forward_failed"] == 5)
            rig.child.send(signal.SIGTERM)
            assert exit_status(rig.child) == 0
        finally:
            rig.close()
    assert count(rig.traces).frames == 5


def parsing_s(body: bytes) -> float:
    """Return the CPU seconds that it costs to parse an export on this machine."""
    begun_s = time.process_time()
    for _ in range(100):
        ExportTraceServiceRequest.FromString(body)
    return (time.process_time() - begun_s) / 100


def test_to_take_a_span_costs_little_more_than_to_parse_it(capture: Capture) -> None:
    batch = request()
    spans = batch.resource_spans[0].scope_spans[0].spans
    for _ in range(511):
        spans.add().CopyFrom(spans[0])
    body = batch.SerializeToString()
    requests = 80

    async def send() -> None:
        async with httpx.AsyncClient(base_url=str(capture.http.base_url), trust_env=False) as http:
            for _ in range(requests // 4):
                answers = await asyncio.gather(
                    *(http.post("/v1/traces", content=body, headers=PROTOBUF) for _ in range(4))
                )
                assert {answer.status_code for answer in answers} == {200}

    process = psutil.Process(capture.child.pid)
    before = process.cpu_times()
    asyncio.run(send())
    after = process.cpu_times()
    cpu_s = after.user + after.system - before.user - before.system
    assert cpu_s < TIMES_PARSING * requests * parsing_s(body)
    assert count(capture.traces).frames == requests
