"""What a bench finds with rows and journal, `agentrig observe` finds in the spans of the same fleet."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen

import httpx
import pytest

from harness.capture.otlp_http import HEADERS, PREFACE, SETTINGS, frame
from tests.e2e.command import finish, small_experiment, start
from tests.e2e.jaeger_server import Jaeger, jaeger, own_host, require_jaeger
from tests.e2e.waiting import DEADLINE_S, until
from tests.proof.observed_beside_bench import EXPERIMENTS, sides, table

pytestmark = pytest.mark.proof

LIMITS = "min-requests=20,clocks=synchronised"


@contextmanager
def watched(folder: Path, host: str) -> Iterator[Popen[str]]:
    process = start(
        *("observe", f"otlp://{host}:4318", "--every", "2s", "--since", "10m", "--limits", LIMITS),
        *("--metrics", f"{host}:9464", "--out", folder / "watched"),
        cwd=folder,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def page_of(host: str) -> str:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://{host}:9464/metrics", trust_env=False).text
    return ""


def test_a_sound_and_a_sabotaged_agent_are_told_apart_while_they_run(tmp_path: Path) -> None:
    host = own_host()
    with watched(tmp_path, host) as watch:
        until("it listens", lambda: "agentrig_observe_every_seconds" in page_of(host), DEADLINE_S)
        code, said, err = finish(
            start("run", small_experiment(tmp_path), "--jaeger", f"http://{host}:16686", cwd=tmp_path)
        )
        assert code in {0, 2}, f"{said}\n{err}"

        def is_told() -> bool:
            told = page_of(host)
            sound = 'check="init-once",service="agent (small/cached)",verdict="pass"} 1'
            broken = 'check="init-once",service="agent (small/per-request)",verdict="fail"} 1'
            return sound in told and broken in told

        until("both arms judged", is_told, 2 * DEADLINE_S)
        watch.send_signal(signal.SIGINT)
        out, err = watch.communicate(timeout=DEADLINE_S)
    assert watch.returncode == 130
    assert "fell short init-once" in out
    assert "Traceback" not in err
    assert list(tmp_path.glob("watched/observe-*/report.html"))


def test_a_sender_of_grpc_is_told_what_to_set(tmp_path: Path) -> None:
    host = own_host()
    with watched(tmp_path, host) as watch:
        until("it listens", lambda: "agentrig_observe_every_seconds" in page_of(host), DEADLINE_S)
        with socket.create_connection((host, 4318), timeout=DEADLINE_S) as sender:
            sender.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 4, 1, b"\x83"))
            answer = b""
            while b"http/protobuf" not in answer:
                part = sender.recv(4096)
                assert part, answer
                answer += part
        watch.send_signal(signal.SIGINT)
        _, err = watch.communicate(timeout=DEADLINE_S)
    assert "otlphttp" in err


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    require_jaeger()
    folder, host = tmp_path_factory.mktemp("jaeger"), own_host()
    with jaeger(folder, f"http://{host}:9090", host) as server:
        yield server


def test_a_real_jaeger_tells_what_the_bench_found(server: Jaeger, tmp_path: Path) -> None:
    found = sides(tmp_path, server.page)
    sys.stdout.write(table(found))
    assert {side.experiment for side in found} == set(EXPERIMENTS)
    for side in found:
        name = f"{side.experiment}/{side.arm}"
        assert side.faults <= side.red, name
        assert side.control or not side.red, name
    assert all(any(side.faults for side in found if side.experiment == name) for name in EXPERIMENTS)
