"""What the load costs and how late it is: planned open arrivals from one core, at several rates.

The service beside it answers at once, on another core where there is one. Run it by `make bench`; with
`--vs DIR`, the load of another checkout takes turns with the one of this.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
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
HERE = Path(__file__).resolve().parents[2]


@dataclass
class Cost:
    """What the load of one checkout cost at one rate, and how late it was."""

    sent: int = 0
    cpu_s: float = 0.0
    late_ms: list[float] = field(default_factory=list)

    def add(self, result: LoadResult, rows: list[RequestRow]) -> None:
        self.sent += result.sent
        self.cpu_s += result.cpu_s
        self.late_ms += [row.lateness_s * 1000 for row in rows]

    @property
    def ms(self) -> float:
        """CPU milliseconds a request."""
        return self.cpu_s / self.sent * 1000

    def __str__(self) -> str:
        p50, p99, worst = np.percentile(np.array(self.late_ms), [50, 99, 100])
        return f"{self.sent:6d} {p50:9.2f} {p99:7.2f} {worst:7.2f} {self.ms:15.3f}"


def main() -> None:
    """Print a line per rate and checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--vs", type=Path, metavar="DIR", help="another checkout, such as one of before a change"
    )
    told = parser.parse_args()
    checkouts = [HERE, *([told.vs.resolve(strict=True)] if told.vs else [])]
    cores = sorted(os.sched_getaffinity(0))
    with pinned(cores[-1]), contract_server() as host:
        print(f"{'rate/s':>8} {'sent':>6} {'late p50':>9} {'p99':>7} {'max ms':>7} {'CPU ms/request':>15}")
        for rate_rps in RATES_RPS:
            costs = {checkout: Cost() for checkout in checkouts}
            for _ in range(told.rounds):
                for checkout, cost in costs.items():
                    with pinned(cores[0]), chdir(checkout):  # `python -m` looks there first
                        cost.add(*replay(host, rate_rps, told.seconds))
            for checkout, cost in costs.items():
                ratio = f"  {checkout}, {costs[HERE].ms / cost.ms:.2f} of it here" if checkout != HERE else ""
                print(f"{rate_rps:8.0f} {cost}{ratio}")


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
