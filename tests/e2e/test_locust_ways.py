"""The same test in one process, in two, with a master, and begun by the page: the same plan and exit code."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.load.kit.tally import Tally
from harness.machine import usable_cores
from harness.records.sent import RequestRow
from harness.run.folder import read_rows
from tests.e2e.locusting import (
    BUSY,
    BUSY_CALLS,
    Page,
    autostarted,
    ended,
    headless,
    master_and_two_workers,
    processes,
    scenarios_in,
    start,
    two_processes,
    until_calls_ended,
)
from tests.e2e.serving import contract_server, free_port, wait_for
from tests.e2e.this_machine import watched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


LATE_MS = 5.0
SEVERAL = [two_processes, master_and_two_workers, autostarted]
WAYS = pytest.mark.parametrize("way", [headless, *SEVERAL])


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with contract_server() as url:
        yield url


@pytest.fixture(autouse=True)
def nothing_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("AGENTRIG_SIMULATOR_URL", raising=False)


@WAYS
def test_all_that_is_due_within_the_run_time_is_sent_whatever_the_machine_and_an_impossible_limit_exits_1(
    way: Any, host: str
) -> None:
    ran = way(*BUSY, "-H", host, "--p99-ms", 0.001)
    assert ran.returncode == 1, ran.stderr
    assert "fell short: p99" in ran.stderr
    assert f"; due {BUSY_CALLS}, sent {BUSY_CALLS}, " in ran.stderr
    assert "No run time limit set" not in ran.stderr


SLOW_TO_LISTEN = """
import gevent
from locust import events
from locust.runners import WorkerRunner

@events.init.add_listener
def slow(runner, **_):
    if isinstance(runner, WorkerRunner):
        gevent.sleep(4)

from harness.load.scenario import Constant, OpenUser

class Steady(OpenUser):
    arrivals = Constant(rate_rps=10.0)
"""


def test_a_worker_that_is_asked_for_users_before_it_listens_sends_its_share(
    host: str, tmp_path: Path
) -> None:
    files = tmp_path / "slow.py"
    files.write_text(SLOW_TO_LISTEN)
    port = free_port()
    workers = ("--processes", 2, "--master-bind-port", port, "--master-port", port)
    ran = ended(start("--headless", "-t", "2s", "-H", host, *workers, files=files))
    assert ran.returncode == 0, ran.stderr
    assert "; due 20, sent 20, " in ran.stderr


FEW = [
    (headless, 5, ["20 calls have no p99, 299 have"]),  # each of the two by itself
    (headless, 1000, ["at least 1000 needed"]),
    *((way, 1000, ["20 calls have no p99, 299 have", "at least 1000 needed"]) for way in SEVERAL),
]


@pytest.mark.parametrize(("way", "least", "says"), FEW)
def test_too_few_requests_are_never_green(way: Any, least: int, says: list[str], host: str) -> None:
    p99 = ("--p99-ms", 1e6) if "p99" in says[0] else ()
    ran = way("Steady", "-t", "2s", "-H", host, *p99, "--min-requests", least)
    assert ran.returncode == 2, ran.stderr
    assert [each for each in says if each not in ran.stderr] == []


@pytest.mark.parametrize(("requests", "code"), [(1, 1), (1000, 2)])
def test_autostart_ends_as_headless_does_whether_it_quits_by_itself_or_is_ended(
    requests: int, code: int, host: str
) -> None:
    port = free_port()
    to = f"http://127.0.0.1:{free_port()}" if code == 1 else host
    options = ("--autostart", "--only-summary", "--web-port", port, "Steady", "-t", "2s", "-H", to)
    ran = ended(start(*options, "--min-requests", requests, "--autoquit", 2))
    assert ran.returncode == code, ran.stderr
    process = start(*options, "--min-requests", requests)
    try:
        wait_for(process, f"http://127.0.0.1:{port}/")
        Page(f"http://127.0.0.1:{port}", process).until_judged(1)
    finally:
        process.send_signal(signal.SIGTERM)
        ran = ended(process)
    assert ran.returncode == code, ran.stderr


@WAYS
def test_all_scenarios_that_were_picked_run_whatever_the_number_of_users_and_limits_that_are_met_exit_0(
    way: Any, host: str, tmp_path: Path
) -> None:
    picked = ("Steady", "Conversations", "-u", 1, "--rate-factor", 6, "-t", "3s")
    ran = way(*picked, "-H", host, "--p99-ms", 1e6, "--results-dir", tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "held: p99" in ran.stderr
    assert scenarios_in(tmp_path) == {"Steady", "Conversations"}
    assert "1 users for 2 scenarios" in ran.stderr


SLOW_TO_START = """
import gevent
from harness.load.scenario import Constant, OpenUser

class Slow(OpenUser):
    arrivals = Constant(rate_rps=10.0)
    weight = 9

    def on_start(self):
        gevent.sleep(600)

class Swift(OpenUser):
    arrivals = Constant(rate_rps=10.0)
"""


@pytest.mark.parametrize("processes", [(), ("--processes", 2)])
def test_a_share_that_nobody_came_to_drive_is_never_green(
    host: str, tmp_path: Path, processes: tuple[object, ...]
) -> None:
    files = tmp_path / "slow.py"
    files.write_text(SLOW_TO_START)
    port = ("--master-bind-port", p, "--master-port", p) if processes and (p := free_port()) else ()
    ran = ended(start("--headless", "-t", "2s", "-H", host, *processes, *port, files=files))
    assert ran.returncode == 2, ran.stderr
    assert "; due 20, sent 20, " in ran.stderr
    assert "of Slow (worker " in ran.stderr
    assert "was never driven: its user was still in on_start" in ran.stderr


def test_a_worker_that_vanishes_is_never_green_and_its_share_is_named(host: str, tmp_path: Path) -> None:
    port = free_port()
    workers = [start("--worker", "--master-port", port) for _ in range(2)]
    master = start(
        *("--headless", "--master", "--expect-workers", 2, "--master-bind-port", port, "-H", host),
        *("Steady", "-t", "6s", "--results-dir", tmp_path),
    )
    try:
        until_calls_ended(tmp_path, master)
        workers[1].kill()
        ran = ended(master)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert ran.returncode == 2, ran.stderr
    assert "never handed in its figures, see its log: share " in ran.stderr
    assert " of 2 of Steady is missing" in ran.stderr


@pytest.mark.parametrize("way", [headless, two_processes])
def test_a_service_that_is_down_is_never_green(way: Any) -> None:
    ran = way("Steady", "-t", "2s", "-H", f"http://127.0.0.1:{free_port()}")
    assert ran.returncode == 1, ran.stderr
    assert "ConnectionRefusedError" in ran.stderr


@pytest.mark.alone
@pytest.mark.parametrize("workers", [2, 4])
def test_all_workers_together_send_the_one_plan_in_time_and_their_histograms_merge_exactly(
    workers: int, host: str, tmp_path: Path
) -> None:
    with watched() as machine:
        ran = processes(workers, *BUSY, "-H", host, "--results-dir", tmp_path / "out")
    assert ran.returncode == 0, ran.stderr
    parts = [
        list(read_rows(tmp_path / "out" / f"requests-{worker}.jsonl", RequestRow))
        for worker in range(workers)
    ]
    rows = [row for part in parts for row in part]
    assert [len(part) for part in parts] == [BUSY_CALLS / workers] * workers
    assert sorted(row.index for row in rows) == list(range(BUSY_CALLS))
    pooled = Tally()
    for row in rows:
        pooled.add(row)
    (said,) = [line for line in ran.stderr.splitlines() if "from the intended start" in line]
    assert f"p50 {pooled.quantile_ms(50):.1f} ms  p95 {pooled.quantile_ms(95):.1f} ms" in said
    assert f"p99 {pooled.quantile_ms(99):.1f} ms" in said
    late_ms = pooled.lateness_ms(99) or 0.0
    if late_ms >= LATE_MS:
        machine.skip_if_the_cause()
        if workers + 1 >= usable_cores():  # these, the master, and the service: none has a core to itself
            pytest.skip(f"unknown: p99 {late_ms:.1f} ms late, {workers} workers on {usable_cores():g} cores")
    assert late_ms < LATE_MS
