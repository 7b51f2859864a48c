"""What the load costs and how late it is: planned open arrivals from one core, at several rates.

The service beside it answers at once, on another core where there is one. Run it by `make bench`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from harness.clock import SystemClock
from harness.load.arrivals import plan
from harness.load.launcher import LoadChild, LoadJob, LoadResult
from harness.records.sent import RequestRow
from harness.records.spec import LoadSpec
from harness.run.folder import read_rows
from tests.e2e.serving import contract_server

RATES_RPS = (30.0, 100.0, 300.0, 600.0)
LEAD_S = 0.3


def main() -> None:
    """Print a line per rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    told = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with pinned(cores[-1]), contract_server() as host:
        print(f"{'rate/s':>8} {'sent':>6} {'late p50':>9} {'p99':>7} {'max ms':>7} {'CPU ms/request':>15}")
        for rate_rps in RATES_RPS:
            with pinned(cores[0]):
                result, rows = replay(host, rate_rps, told.seconds)
            late_ms = np.array([row.lateness_s for row in rows]) * 1000
            p50, p99, worst = np.percentile(late_ms, [50, 99, 100])
            cost_ms = result.cpu_s / result.sent * 1000
            print(f"{rate_rps:8.0f} {result.sent:6d} {p50:9.2f} {p99:7.2f} {worst:7.2f} {cost_ms:15.3f}")


def replay(host: str, rate_rps: float, seconds: float) -> tuple[LoadResult, list[RequestRow]]:
    """Send a Poisson plan and return what came of it."""
    arrivals = plan(LoadSpec(rate_rps=rate_rps, duration_s=seconds), 1, "bench")
    with tempfile.TemporaryDirectory() as folder:
        job = LoadJob(
            hosts=(host,),
            experiment="bench",
            arm="load",
            run_id="bench",
            arrivals=arrivals,
            timeout_s=10.0,
            max_in_flight=1000,
            work_dir=Path(folder),
            log=Path(folder) / "locust.log",
        )
        with LoadChild(job, clock=SystemClock()) as load:
            load.start()
            load.begin(time.time() + LEAD_S)
            result = load.wait()
        return result, list(read_rows(result.rows, RequestRow))


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Start processes on one core only, for as long as this lasts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


if __name__ == "__main__":
    main()
