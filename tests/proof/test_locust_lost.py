"""Workers that stand still, a test that is killed, turns that wait, and what Locust writes itself."""

import itertools
import json
import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from harness.records.sent import RequestRow
from harness.run.folder import read_rows
from tests.e2e.locusting import BUSY, BUSY_CALLS, WITHIN_S, ended, start, two_processes, until_calls_ended
from tests.e2e.serving import chat_server, free_port, simulator
from tests.e2e.test_locustfiles import host, nothing_is_up

__all__ = ["host", "nothing_is_up"]
pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]


def test_a_worker_that_stands_still_is_never_green_and_is_named(host: str, tmp_path: Path) -> None:
    port = free_port()
    workers = [start("--worker", "--master-port", port) for _ in range(2)]
    history = ("--csv", tmp_path / "locust", "--csv-full-history", "--html", tmp_path / "locust.html")
    master = start(
        *("--headless", "--master", "--expect-workers", 2, "--master-bind-port", port, "-H", host),
        *("Steady", "-t", "12s", "--results-dir", tmp_path, *history),
    )
    try:
        until_calls_ended(tmp_path, master)
        workers[1].send_signal(signal.SIGSTOP)
        time.sleep(6)  # longer than Locust's heartbeats take to be missed
        workers[1].send_signal(signal.SIGCONT)
        ran = ended(master)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert ran.returncode == 2, ran.stderr
    assert "was not heard of for a while: it stood still, or was cut off" in ran.stderr
    assert (tmp_path / "locust_stats_history.csv").stat().st_size > 0


def test_locusts_own_files_count_the_same_calls(host: str, tmp_path: Path) -> None:
    files = ("--csv", tmp_path / "locust", "--csv-full-history", "--json-file", tmp_path / "locust")
    ran = two_processes(*BUSY, "-H", host, "--results-dir", tmp_path, *files)
    assert ran.returncode == 0, ran.stderr
    (entry,) = json.loads((tmp_path / "locust.json").read_text())
    rows = [row for file in tmp_path.glob("requests-*.jsonl") for row in read_rows(file, RequestRow)]
    assert len(rows) == entry["num_requests"] == BUSY_CALLS
    assert entry["num_failures"] == 0
    longest_ms = max(row.latency_s for row in rows) * 1000
    assert entry["max_response_time"] == pytest.approx(longest_ms, abs=0.01), "from when it was due, as ours"
    last = (tmp_path / "locust_stats.csv").read_text().splitlines()[-1]
    assert last.startswith(f",Aggregated,{BUSY_CALLS},0,")


def test_what_a_test_that_was_killed_has_injected_is_gone_soon_after(host: str, tmp_path: Path) -> None:
    with simulator() as url, httpx.Client(timeout=WITHIN_S) as client:
        before = client.get(f"{url}/sim/config").json()
        process = start(
            *("--headless", "ThrottlingStorm", "-H", host, "--simulator-url", url, "--results-dir", tmp_path)
        )
        until_calls_ended(tmp_path, process)
        assert client.get(f"{url}/sim/config").json()["quota"]["rpm"] == 6000
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        deadline_s = time.monotonic() + WITHIN_S
        while client.get(f"{url}/sim/config").json() != before:
            assert time.monotonic() < deadline_s, "the faults outlive their scenario"
            time.sleep(0.5)


TURNS = """
from harness.load.scenario import Constant, OpenUser

class Lunch(OpenUser):
    arrivals = Constant(rate_rps=4.0)
    turns = 3
"""


def test_a_turn_waits_for_the_answer_before_it(tmp_path: Path) -> None:
    files = tmp_path / "lunch.py"
    files.write_text(TURNS)
    with chat_server(None, takes_s=3.0) as url:
        ran = ended(start("--headless", "-t", "6s", "-H", url, "--results-dir", tmp_path, files=files))
    assert ran.returncode == 0, ran.stderr
    sessions: dict[str, list[RequestRow]] = {}
    for row in sorted(read_rows(tmp_path / "requests-0.jsonl", RequestRow), key=lambda row: row.sent_s):
        sessions.setdefault(row.session_id, []).append(row)
    followed = [turns for turns in sessions.values() if len(turns) > 1]
    assert followed
    assert all(a.end_s <= b.sent_s for turns in followed for a, b in itertools.pairwise(turns))
