import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.clock import SystemClock
from harness.errors import ChildDiedError
from harness.load.arrivals import plan
from harness.load.launcher import LoadChild, LoadJob, LoadResult
from harness.ramp import RampLimits
from harness.records.sent import Arrival, RequestRow
from harness.records.spec import LoadSpec
from harness.run.folder import read_rows
from tests.e2e.command import runs
from tests.e2e.serving import contract_server, free_port

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with contract_server() as url:
        yield url


def job(host: str, folder: Path, arrivals: tuple[Arrival, ...], **changed: float) -> LoadJob:
    about = {"timeout_s": 5.0, "max_in_flight": 1000} | changed
    return LoadJob(
        hosts=(host,),
        experiment="x",
        arm="a",
        run_id="r",
        arrivals=arrivals,
        work_dir=folder,
        log=folder / "locust.log",
        **about,
    )


def run(it: LoadJob) -> tuple[LoadResult, list[RequestRow]]:
    with LoadChild(it, clock=SystemClock()) as load:
        load.start()
        load.begin(time.time() + 0.3)
        result = load.wait()
    return result, sorted(read_rows(result.rows, RequestRow), key=lambda row: row.index)


def asking(*prompts: str, gap_s: float = 0.0) -> tuple[Arrival, ...]:
    return tuple(
        Arrival(index=i, due_s=i * gap_s, session_id=f"{i:040}", prompt=prompt)
        for i, prompt in enumerate(prompts)
    )


def test_every_planned_request_is_sent_when_due_and_recorded(host: str, tmp_path: Path) -> None:
    arrivals = plan(LoadSpec(burst=20, quiet_s=0.5, rate_rps=100, duration_s=3), 1, "x")
    result, rows = run(job(host, tmp_path, arrivals))
    assert (result.planned, result.sent, result.dropped) == (len(arrivals), len(arrivals), 0)
    assert [row.index for row in rows] == [arrival.index for arrival in arrivals]
    assert all(row.ok and row.upstream == "127.0.0.1:1" and row.body_bytes > 0 for row in rows)
    start_s = rows[0].due_s
    assert [row.due_s - start_s for row in rows] == pytest.approx([a.due_s for a in arrivals], abs=1e-5)
    assert all(row.due_s <= row.sent_s <= row.end_s for row in rows)
    assert result.cpu_s > 0


def test_slow_answers_do_not_delay_later_requests(host: str, tmp_path: Path) -> None:
    result, rows = run(job(host, tmp_path, asking("sleep=1.5", "fast", "fast", gap_s=0.1)))
    assert result.sent == 3
    assert rows[0].latency_s >= 1.5
    assert max(row.latency_s for row in rows[1:]) < 1.0


def test_each_kind_of_failure_is_recorded_as_what_it_is(host: str, tmp_path: Path) -> None:
    _, rows = run(
        job(host, tmp_path, asking("fine", "status=429", "error=Refused", "sleep=3"), timeout_s=1.0)
    )
    assert [(row.status, row.error_type) for row in rows] == [
        (200, None),
        (429, "http_429"),
        (200, "Refused"),
        (0, "timeout"),
    ]
    assert [row.ok for row in rows] == [True, False, False, False]
    assert rows[3].end_s - rows[3].sent_s == pytest.approx(1.0, abs=0.3)


def test_an_answer_that_cannot_even_be_looked_at_is_recorded_as_an_error(host: str, tmp_path: Path) -> None:
    _, rows = run(job(host, tmp_path, asking("deep=100000", "fine")))
    assert [(row.status, row.error_type) for row in rows] == [(200, "not_json"), (200, None)]
    assert rows[0].body_bytes == 200_000


def test_a_service_that_is_not_there_gives_errors_not_silence(tmp_path: Path) -> None:
    result, rows = run(job(f"http://127.0.0.1:{free_port()}", tmp_path, asking("a", "b")))
    assert result.sent == 2
    assert [(row.status, row.error_type) for row in rows] == [(0, "ConnectionRefusedError")] * 2


def test_what_exceeds_the_cap_is_dropped_and_counted(host: str, tmp_path: Path) -> None:
    result, rows = run(job(host, tmp_path, asking(*["sleep=0.5"] * 5), max_in_flight=2))
    assert (result.sent, result.dropped, len(rows)) == (2, 3, 2)
    assert "dropped request 2" in (tmp_path / "locust.log").read_text()


def test_the_steps_of_a_ramp_after_one_that_is_not_sustained_are_not_planned(
    host: str, tmp_path: Path
) -> None:
    slow, rest = asking("sleep=0.6", "sleep=0.6", gap_s=0.1), asking(*["fast"] * 100, gap_s=0.01)
    arrivals = (
        *(dataclasses.replace(each, phase="ramp-10") for each in slow),
        *(
            dataclasses.replace(each, phase="ramp-100", index=2 + each.index, due_s=1.0 + each.due_s)
            for each in rest
        ),
    )
    it = dataclasses.replace(job(host, tmp_path, arrivals), ramp=RampLimits(p99_ms=300.0, error_ratio=0.0))
    result, rows = run(it)
    assert 2 <= result.planned <= 4
    assert (result.sent, len(rows)) == (result.planned, result.planned)


def test_the_agent_gets_trace_session_and_request_ids(host: str, tmp_path: Path) -> None:
    _, (row,) = run(job(host, tmp_path, asking("echo")))
    traceparent = f"00-{row.trace_id}-{row.span_id}-01"
    assert row.error == f"HTTP 200 with an error: {traceparent} {row.session_id} {row.request_id}"


def test_progress_is_seen_while_the_load_lasts(host: str, tmp_path: Path) -> None:
    arrivals = plan(LoadSpec(rate_rps=50, duration_s=2), 1, "x")
    seen = []
    with LoadChild(job(host, tmp_path, arrivals), clock=SystemClock()) as load:
        load.start()
        load.begin(time.time() + 0.2)
        while load.poll() is None:
            seen.append(load.progress())
            time.sleep(0.1)
        load.wait()
    assert any(0 < progress.done < len(arrivals) for progress in seen)
    assert load.progress().done == len(arrivals)


def test_a_load_that_is_killed_is_told_by_signal_and_log(host: str, tmp_path: Path) -> None:
    with LoadChild(job(host, tmp_path, asking("fine", "sleep=4")), clock=SystemClock()) as load:
        load.start()
        load.begin(time.time())
        deadline = time.monotonic() + 3
        while load.progress().done == 0:
            assert time.monotonic() < deadline, "a call that has ended is not in the file"
            time.sleep(0.05)
        (child,) = children_running("harness.load.replay")
        child.kill()
        with pytest.raises(ChildDiedError, match=r"locust was killed by signal 9 .*[\s\S]*locust\.log"):
            load.wait()
    assert len(list(read_rows(tmp_path / "rows.jsonl", RequestRow))) == 1


def test_stopping_in_the_middle_leaves_no_process(host: str, tmp_path: Path) -> None:
    with LoadChild(job(host, tmp_path, asking("sleep=4")), clock=SystemClock()) as load:
        load.start()
        load.begin(time.time())
    assert children_running("harness.load.replay") == []


def test_the_load_dies_with_its_parent(host: str, tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from harness.clock import SystemClock
from harness.load.launcher import LoadChild, LoadJob
from harness.records.sent import Arrival
folder = Path(sys.argv[2])
arrivals = (Arrival(index=0, due_s=60.0, session_id="s" * 40, prompt="p"),)
load = LoadChild(LoadJob(hosts=(sys.argv[1],), experiment="x", arm="a", run_id="r", arrivals=arrivals,
    timeout_s=5, max_in_flight=9, work_dir=folder, log=folder / "log"), clock=SystemClock())
load.start()
load.begin(time.time())
print(load._child.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script, host, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "the load outlived its parent"
            time.sleep(0.05)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def children_running(module: str) -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if runs(child, module)]
