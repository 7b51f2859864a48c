import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from harness.load.kit.tally import Tally
from harness.records import RequestRow
from harness.run_folder import read_rows
from harness.up_state import UpState, write
from tests.e2e.serving import contract_server, free_port, running, simulator, wait_for

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parent.parent.parent
CLOSED_LOOP = Path(__file__).parent / "fixtures" / "closed_loop.py"
ENDS_WITHIN_S = 60


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with contract_server() as url:
        yield url


@pytest.fixture(autouse=True)
def nothing_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("AGENTRIG_SIMULATOR_URL", raising=False)


def argv(*options: object, files: Path = ROOT / "locustfiles") -> list[str]:
    return [sys.executable, "-m", "locust", "-f", str(files), *map(str, options)]


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    try:
        out, said = process.communicate(timeout=ENDS_WITHIN_S)
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


def two_processes(*options: object) -> subprocess.CompletedProcess[str]:
    port = free_port()
    return headless("--processes", 2, "--master-bind-port", port, "--master-port", port, *options)


WAYS = pytest.mark.parametrize("way", [headless, two_processes, master_and_two_workers])
BUSY = ("Steady", "--rate-factor", 15, "-t", "4s")


@WAYS
def test_limits_that_are_met_exit_0(way: Any, host: str) -> None:
    ran = way(*BUSY, "-H", host, "--p99-ms", 2000)
    assert ran.returncode == 0, ran.stderr
    assert "held: p99" in ran.stderr


@WAYS
def test_an_impossible_limit_exits_1(way: Any, host: str) -> None:
    ran = way(*BUSY, "-H", host, "--p99-ms", 0.001)
    assert ran.returncode == 1, ran.stderr
    assert "fell short: p99" in ran.stderr


@WAYS
def test_too_few_requests_are_never_green(way: Any, host: str) -> None:
    ran = way("Steady", "-t", "2s", "-H", host, "--min-requests", 1000)
    assert ran.returncode == 2, ran.stderr
    assert "at least 1000 needed" in ran.stderr


@WAYS
def test_a_service_that_is_down_is_never_green(way: Any) -> None:
    ran = way("Steady", "-t", "2s", "-H", f"http://127.0.0.1:{free_port()}")
    assert ran.returncode == 1, ran.stderr
    assert "ConnectionRefusedError" in ran.stderr


def test_a_test_that_sent_nothing_is_never_green(host: str) -> None:
    ran = headless("BusyRouting", "-t", "1s", "-H", host, "--rate-factor", 1e-6)
    assert ran.returncode == 2, ran.stderr
    assert "0 calls ended" in ran.stderr


def test_without_a_service_it_is_told_how_to_name_one() -> None:
    ran = headless("Steady", "-t", "2s")
    assert ran.returncode == 3
    assert "give --host URL, or run `agentrig up`" in ran.stderr


def test_the_fleet_that_is_up_is_found_by_itself(host: str, tmp_path: Path) -> None:
    write(UpState(pid=os.getpid(), url=host, simulator_url=host), tmp_path / "state" / "agentrig" / "up.json")
    assert headless("Steady", "-t", "2s").returncode == 0


@pytest.mark.parametrize(
    "name", ["BusyRouting", "ColdStart", "Conversations", "ScaleOut", "Steady", "ThrottlingStorm"]
)
def test_each_scenario_runs_against_any_host_that_speaks_the_contract(name: str, host: str) -> None:
    ran = headless(name, "-t", "3s", "-H", host)
    assert ran.returncode == 0, ran.stderr


def test_all_workers_together_send_the_one_plan_and_their_histograms_merge_exactly(
    host: str, tmp_path: Path
) -> None:
    ran = two_processes(*BUSY, "-H", host, "--results-dir", tmp_path / "out")
    assert ran.returncode == 0, ran.stderr
    parts = [
        list(read_rows(tmp_path / "out" / f"requests-{worker}.jsonl", RequestRow)) for worker in range(2)
    ]
    rows = [row for part in parts for row in part]
    assert min(len(part) for part in parts) > 100
    assert sorted(row.index for row in rows) == list(range(len(rows)))
    pooled = Tally()
    for row in rows:
        pooled.add(row)
    (said,) = [line for line in ran.stderr.splitlines() if "from the intended start" in line]
    assert f"p50 {pooled.quantile_ms(50):.1f} ms  p95 {pooled.quantile_ms(95):.1f} ms" in said
    assert f"p99 {pooled.quantile_ms(99):.1f} ms" in said


@pytest.mark.alone
def test_a_stall_shows_in_full_where_a_closed_loop_hides_it(tmp_path: Path) -> None:
    stall_at_s, stall_for_s = 3.0, 1.0
    with contract_server(stall_at_s, stall_for_s) as host:
        ran = headless("Steady", "-t", "10s", "-H", host, "--rate-factor", 5, "--results-dir", tmp_path)
    assert ran.returncode == 0, ran.stderr
    rows = sorted(read_rows(tmp_path / "requests-0.jsonl", RequestRow), key=lambda row: row.index)
    due_s = np.array([row.due_s - rows[0].due_s for row in rows])
    waits = (due_s >= stall_at_s) & (due_s < stall_at_s + stall_for_s)
    by_hand_ms = np.where(waits, stall_at_s + stall_for_s - due_s, 0.0) * 1000
    seen = Tally()
    for row in rows:
        seen.add(row)
    for percent in (95, 99, 99.9):
        expected_ms = np.percentile(by_hand_ms, percent, method="inverted_cdf")
        assert seen.quantile_ms(percent) == pytest.approx(expected_ms, abs=60)
    with contract_server(stall_at_s, stall_for_s) as host:
        closed = ended(
            start("--headless", "--json", "-t", "10s", "-H", host, files=CLOSED_LOOP, cwd=tmp_path)
        )
    times = json.loads(closed.stdout)[0]["response_times"]
    hit = sum(count for latency_ms, count in times.items() if float(latency_ms) > 100)
    assert hit == 1, "a closed loop meets the stall once, whatever its rate"


def test_ctrl_c_drains_judges_and_leaves_nothing(host: str) -> None:
    process = start("--headless", "--only-summary", "Steady", "-H", host)
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    ran = ended(process)
    assert ran.returncode == 0, ran.stderr
    assert "held: error ratio 0.0000" in ran.stderr


@pytest.mark.parametrize("ending", [(), (signal.SIGTERM,)])
def test_the_throttling_is_there_while_the_test_lasts_and_gone_after(
    host: str, ending: tuple[signal.Signals, ...]
) -> None:
    key = {"authorization": "Bearer a-token"}
    with simulator("--token", "a-token") as url:
        before = httpx.get(f"{url}/sim/config", headers=key).json()
        told = ("--simulator-url", url, "--simulator-token", "a-token")
        process = start("--headless", "ThrottlingStorm", "-H", host, "-t", "5s", *told)
        deadline = time.monotonic() + 15
        while not (during := httpx.get(f"{url}/sim/config", headers=key).json())["faults"]:
            assert time.monotonic() < deadline, "nothing was throttled"
            time.sleep(0.05)
        time.sleep(1.5)  # some calls have ended by then
        for number in ending:
            process.send_signal(number)
        ran = ended(process)
        assert ran.returncode == 0, ran.stderr
        after = httpx.get(f"{url}/sim/config", headers=key).json()
    assert during["quota"]["rpm"] == 6000
    assert during["faults"][0]["kind"] == "overloaded"
    assert after == before


def test_the_web_page_has_what_an_operator_misses_there(host: str) -> None:
    port = free_port()
    page = f"http://127.0.0.1:{port}"
    with running(argv("--web-port", port, "-H", host), f"{page}/"):
        assert "No test has been started yet." in httpx.get(f"{page}/agentrig").text
        assert '"agentrig-arrivals"' in httpx.get(page).text
        sent_in_tests = []
        for _ in range(2):  # the second test begins at zero again
            tabs = web_test(page, host, until_sent=20)
            sent_in_tests.append(tabs["agentrig-arrivals"][0]["sent"])
        assert tabs["agentrig-slowest"][0]["trace"] in httpx.get(f"{page}/agentrig").text
    assert max(sent_in_tests) < 40
    (arrivals,) = tabs["agentrig-arrivals"]
    assert arrivals["p99_ms"] > 0
    assert arrivals["dropped"] == 0
    assert tabs["agentrig-containers"][0]["share"] == "100.0%"
    assert len(tabs["agentrig-slowest"][0]["trace"]) == 32


def test_a_wrong_option_in_the_web_page_is_told_without_a_traceback(host: str) -> None:
    port = free_port()
    process = start("--web-port", port, "-H", host)
    try:
        wait_for(process, f"http://127.0.0.1:{port}/")
        form = {"user_count": 1, "spawn_rate": 1, "user_classes": "Steady", "p99_ms": "fast"}
        assert httpx.post(f"http://127.0.0.1:{port}/swarm", data=form).json()["success"]
        time.sleep(1)
    finally:
        process.send_signal(signal.SIGTERM)
        said = ended(process).stderr
    assert "one of the options is wrong: could not convert string to float: 'fast'" in said
    assert "Traceback" not in said


def web_test(page: str, host: str, *, until_sent: int) -> dict[str, list[dict[str, Any]]]:
    form = {"user_count": 1, "spawn_rate": 1, "host": host, "user_classes": "Steady", "p99_ms": ""}
    assert httpx.post(f"{page}/swarm", data=form).json()["success"]
    deadline = time.monotonic() + 15
    while True:
        stats = httpx.get(f"{page}/stats/requests").json()
        tabs = {tab["key"]: tab["data"] for tab in stats.get("extended_stats", [])}
        if stats["state"] == "running" and tabs and tabs["agentrig-arrivals"][0]["sent"] >= until_sent:
            break
        assert time.monotonic() < deadline, stats
        time.sleep(0.2)
    assert httpx.post(f"{page}/stop", timeout=20).json()["success"]
    return tabs
