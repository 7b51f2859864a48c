"""Locust's own command over the scenarios, as a process, and what of its page an operator uses."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.records.sent import RequestRow
from harness.run.folder import read_rows
from tests.e2e.asking import HTTP
from tests.e2e.serving import free_port

ROOT = Path(__file__).parent.parent.parent
CLOSED_LOOP = Path(__file__).parent / "fixtures" / "closed_loop.py"
WITHIN_S = 120.0
"""A deadline for what hangs: a machine that is five times slower and has other work meets it easily."""
BUSY = ("Steady", "--rate-factor", 8, "-t", "4s")
BUSY_CALLS = 320


def argv(*options: object, files: Path = ROOT / "locustfiles") -> list[str]:
    """Return the words of a command; a machine with other work is late, and that is no part of most tests."""
    late = () if "--max-late-ratio" in options or files == CLOSED_LOOP else ("--max-late-ratio", "1")
    return [sys.executable, "-m", "locust", "-f", str(files), *late, *map(str, options)]


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    try:
        out, said = process.communicate(timeout=WITHIN_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return subprocess.CompletedProcess(process.args, process.returncode, out, said)


def headless(*options: object) -> subprocess.CompletedProcess[str]:
    return ended(start("--headless", "--only-summary", *options))


def start(*options: object, files: Path = ROOT / "locustfiles", cwd: Path = ROOT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        # A job that a shell put into the background ignores Ctrl-C, and so would all that it starts.
        ["env", "--default-signal=INT", *argv(*options, files=files)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def master_and_two_workers(*options: object) -> subprocess.CompletedProcess[str]:
    port = free_port()
    workers = [
        subprocess.Popen(
            argv("--worker", "--master-port", port),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    try:
        return headless("--master", "--expect-workers", 2, "--master-bind-port", port, *options)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def processes(many: int, *options: object) -> subprocess.CompletedProcess[str]:
    port = free_port()
    return headless("--processes", many, "--master-bind-port", port, "--master-port", port, *options)


def two_processes(*options: object) -> subprocess.CompletedProcess[str]:
    return processes(2, *options)


def autostarted(*options: object) -> subprocess.CompletedProcess[str]:
    page = ("--web-port", free_port())
    return ended(start("--autostart", "--autoquit", 0, "--only-summary", *page, *options))


def until(seen: Callable[[], bool], what: str, process: subprocess.Popen[str]) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not seen():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s, f"never seen: {what}"
        time.sleep(0.1)


def until_calls_ended(folder: Path, process: subprocess.Popen[str]) -> None:
    rows = folder / "requests-0.jsonl"
    until(lambda: rows.exists() and rows.stat().st_size > 0, "a row of a call", process)


def scenarios_in(folder: Path) -> set[str]:
    rows = (row for file in folder.glob("requests-*.jsonl") for row in read_rows(file, RequestRow))
    return {row.experiment for row in rows}


class Page:
    """Locust's web page, as an operator uses it."""

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self._url = url
        self._process = process

    def text(self, path: str) -> str:
        return HTTP.get(self._url + path, timeout=WITHIN_S).raise_for_status().text

    def post(self, path: str, **form: object) -> None:
        said = HTTP.post(self._url + path, data=form, timeout=WITHIN_S).json()
        assert said["success"], said

    def swarm(self, **more: object) -> None:
        form = {"user_count": 1, "spawn_rate": 1, "user_classes": "Steady", "p99_ms": "", "run_time": ""}
        self.post("/swarm", **(form | more))

    def refused(self, **more: object) -> str:
        form = {"user_count": 1, "spawn_rate": 1, "user_classes": "Steady"}
        said = HTTP.post(f"{self._url}/swarm", data=form | more, timeout=WITHIN_S).json()
        assert not said["success"], said
        return str(said["message"])

    def until_judged(self, tests: int) -> None:
        said = "from the intended start"
        until(lambda: self.text("/logs").count(said) == tests, f"end of test {tests}", self._process)

    def tabs(self) -> dict[str, list[dict[str, Any]]]:
        stats = json.loads(self.text("/stats/requests"))
        return {tab["key"]: tab["data"] for tab in stats.get("extended_stats", [])}

    def arrivals(self) -> dict[str, Any]:
        (row,) = self.tabs().get("agentrig-arrivals", [{}])
        return row
