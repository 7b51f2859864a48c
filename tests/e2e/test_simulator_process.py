"""The simulator as a process: how it starts, ends, keeps its journal, and what it survives."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.asking import HTTP
from tests.e2e.collecting import collecting
from tests.e2e.serving import free_port, wait_for
from tests.e2e.waiting import DEADLINE_S, until

pytestmark = pytest.mark.e2e

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@contextmanager
def simulator(
    port: int, *args: str | Path, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-m", "harness.simulator", "--port", str(port), *map(str, args)]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, env=os.environ | (env or {}))
    try:
        wait_for(process, f"http://127.0.0.1:{port}/healthz")
        yield process
    finally:
        process.kill()
        process.communicate()


def refused(*args: str | Path) -> tuple[int, str]:
    """Return exit code and words of a start that fails."""
    argv = [sys.executable, "-m", "harness.simulator", *map(str, args)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip()


def test_an_address_that_another_has_is_not_told_as_its_own() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        argv = [sys.executable, "-m", "harness", "simulator", "--port", str(other.getsockname()[1])]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert "Address already in use. Give another --port" in done.stderr


def in_work(url: str) -> int:
    return int(HTTP.get(f"{url}/sim/stats", timeout=DEADLINE_S).json()["in_work"])


def rows(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_writes_its_journal_and_ends_well(tmp_path: Path, number: int) -> None:
    port, file = free_port(), tmp_path / "journal.jsonl"
    with simulator(port, "--journal", file, "--experiment", "e", "--arm", "a") as process:
        HTTP.post(
            f"http://127.0.0.1:{port}/v1/chat/completions", json=CHAT, timeout=DEADLINE_S
        ).raise_for_status()
        process.send_signal(number)
        _, said = process.communicate(timeout=DEADLINE_S)
        assert (process.returncode, said) == (0, b"")
    ((experiment, arm, decision),) = [(r["experiment"], r["arm"], r["decision"]) for r in rows(file)]
    assert (experiment, arm, decision) == ("e", "a", "ok")


def test_the_journal_is_on_disk_soon_after_a_call(tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "journal.jsonl"
    with simulator(port, "--journal", file) as process:
        HTTP.post(
            f"http://127.0.0.1:{port}/v1/chat/completions", json=CHAT, timeout=DEADLINE_S
        ).raise_for_status()
        until("its row", lambda: bool(file.read_text()))
        process.kill()
        process.wait()
    assert len(rows(file)) == 1


def test_a_call_in_work_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    config = tmp_path / "sim.json"
    config.write_text('{"latency": {"ttft": {"median_s": 600}}}')
    port, file = free_port(), tmp_path / "journal.jsonl"
    with simulator(port, "--config", config, "--journal", file) as process:
        with ThreadPoolExecutor(1) as hand:
            url = f"http://127.0.0.1:{port}"
            call = hand.submit(httpx.post, f"{url}/v1/chat/completions", json=CHAT, timeout=DEADLINE_S)
            until("it in work", lambda: in_work(url) == 1)
            process.terminate()
            with pytest.raises(httpx.TransportError):
                call.result()
        _, said = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
        assert b"Traceback" not in said
    assert len(rows(file)) == 1


def test_a_port_in_use_is_told_in_one_line() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, said = refused("--port", str(port))
    assert code == 4
    assert str(port) in said
    assert "--port" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('{"sead": 1}', "sead"),
        ('{"latency": {"tokens": 0}}', "latency.tokens"),
        ('{"faults": [{"kind": "nope"}]}', "faults.0.kind: there is no fault 'nope'. Known: auth, "),
        ("{", "whole file"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_configuration_is_told_with_file_and_key(
    tmp_path: Path, config: str | None, words: str
) -> None:
    file = tmp_path / "sim.json"
    if config is not None:
        file.write_text(config)
    code, said = refused("--port", str(free_port()), "--config", file)
    assert code == 3
    assert said.startswith(str(file))
    assert words in said


def test_beyond_loopback_it_wants_a_token() -> None:
    code, said = refused("--port", str(free_port()), "--host", "0.0.0.0")
    assert code == 3
    assert "AGENTRIG_SIMULATOR_TOKEN" in said


def test_a_disk_that_is_full_ends_it_and_is_told(tmp_path: Path) -> None:
    port = free_port()
    with simulator(port, "--journal", "/dev/full") as process:
        HTTP.post(
            f"http://127.0.0.1:{port}/v1/chat/completions", json=CHAT, timeout=DEADLINE_S
        ).raise_for_status()
        _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 4
    assert b"/dev/full: the journal cannot be written" in said
    assert b"Traceback" not in said


def test_connections_are_numbered_as_they_come(tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "journal.jsonl"
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    with simulator(port, "--journal", file) as process:
        with httpx.Client(timeout=DEADLINE_S) as one, httpx.Client(timeout=DEADLINE_S) as other:
            for client in (one, other, one, other):
                client.post(url, json=CHAT, timeout=DEADLINE_S).raise_for_status()
        process.terminate()
        process.wait(DEADLINE_S)
    first, second, *later = [row["connection"] for row in rows(file)]
    assert isinstance(first, int)
    assert second == first + 1
    assert later == [first, second]


def test_spans_are_handed_in_below_the_callers() -> None:
    port = free_port()
    with collecting() as collector:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_SERVICE_NAME": "model-api",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        }
        with simulator(port, env=env) as process:
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            HTTP.post(url, json=CHAT, headers=headers, timeout=DEADLINE_S).raise_for_status()
            process.terminate()
            assert process.wait(DEADLINE_S) == 0
    (resource,) = collector.resources()
    names = {a.key: a.value.string_value for a in resource.resource.attributes}
    (span,) = resource.scope_spans[0].spans
    assert names["service.name"] == "model-api"
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)


def test_random_bytes_neither_stop_it_nor_fill_its_memory() -> None:
    port = free_port()
    draw = random.Random(5)
    heads = [
        b"",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n",
        b"POST /model/%ff%00/converse HTTP/1.1\r\n",
    ]
    with simulator(port) as process:
        before = psutil.Process(process.pid).memory_info().rss
        for number in range(300):
            with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as raw:
                noise = draw.randbytes(draw.randrange(1, 2000))
                length = b"content-length: %d\r\n\r\n" % len(noise) if number % 2 else b""
                raw.sendall(draw.choice(heads) + length + noise)
                if number % 3:
                    raw.settimeout(0.05)
                    # It waits for the rest of a request, or won't have any of it.
                    with suppress(TimeoutError, ConnectionResetError):
                        assert not raw.recv(4096).startswith(b"HTTP/1.1 5")
        url = f"http://127.0.0.1:{port}"
        assert HTTP.get(f"{url}/healthz", timeout=DEADLINE_S).status_code == 200
        until("nothing in work", lambda: in_work(url) == 0)
        assert psutil.Process(process.pid).memory_info().rss - before < 32 * 2**20
        assert process.poll() is None
