"""The load's own process: Locust replaying a plan. Run as `python -m harness.load.replay FOLDER`.

Importing Locust patches the whole process for gevent: nobody else imports this module.
"""

# ruff: noqa: I001, E402 - Locust patches sockets and time, so it is imported before what uses them
from __future__ import annotations

import gc

gc.disable()  # what is imported stays: to look through it meanwhile takes a tenth of the start

import locust
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import gevent
from gevent.event import AsyncResult
from locust.env import Environment
from locust.exception import StopUser

from harness.load.caller import Caller, Labels, SteadyClock
from harness.load.job import BEGIN, READY, RESULT, LoadJob, read_job, write_whole
from harness.load.open_loop import OpenLoop
from harness.load.ramp_watch import RampWatch
from harness.load.rows import RowFile
from harness.load.workers import Workers
from harness.records.sent import RequestRow

LOOK_EVERY_S = 0.005
log = logging.getLogger("agentrig.load")


class Driver(locust.User):
    """The one user of this process: it sends every arrival of the plan when it is due."""

    fixed_count = 1
    job: ClassVar[LoadJob]
    outcome: ClassVar[AsyncResult[dict[str, float]]]

    @locust.task
    def replay(self) -> None:
        """Replay the plan once; the outcome is what was counted, or the error that ended it."""
        try:
            self.outcome.set(_replay(self.job))
        except Exception as error:  # noqa: BLE001 - Locust would log it and run the task again
            self.outcome.set_exception(error)
        raise StopUser


def main(folder: Path) -> None:
    """Replay the job of `folder`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    Driver.job = read_job(folder)
    Driver.outcome = AsyncResult()
    runner = Environment(user_classes=[Driver], host=Driver.job.hosts[0]).create_local_runner()
    runner.start(1, spawn_rate=1)
    try:
        result = Driver.outcome.get()
        runner.quit()
        write_whole(folder / RESULT, json.dumps(result))
    except OSError as error:  # of a call, it would be in its row
        sys.exit(f"the load can't write to {folder}: {error.strerror}. Make room, or give another --out.")


def _replay(job: LoadJob) -> dict[str, float]:
    clock, calls = SteadyClock(), Workers()
    watch = RampWatch(job.arrivals, job.ramp, clock.now)
    with job.rows.open("wb", buffering=0) as file:
        rows = RowFile(file, gevent.spawn_later)

        def record(row: RequestRow) -> None:
            watch.ended(row)
            rows.add(row)

        callers = [_caller(host, job, record, clock) for host in job.hosts]
        for arrival in job.arrivals:
            callers[arrival.index % len(callers)].prepare(arrival)
        loop = OpenLoop(
            lambda arrival, due_s: callers[arrival.index % len(callers)].call(arrival, due_s),
            spawn=calls.spawn,
            now=clock.now,
            sleep=gevent.sleep,
            max_in_flight=job.max_in_flight,
            on_drop=lambda arrival: log.warning("dropped request %d: too many in flight", arrival.index),
        )
        start_s = _agree_on_start(job, clock)
        cpu_s = time.process_time()
        loop.run(watch.until_lost(start_s), start_s)
        calls.join()
        rows.flush()
        cpu_s = time.process_time() - cpu_s
    if step := watch.lost_step():
        log.info("%s was not sustained: %d requests left", step, len(job.arrivals) - loop.counts.due)
    counts = loop.counts
    return {"planned": counts.due, "sent": counts.sent, "dropped": counts.dropped, "cpu_s": cpu_s}


def _caller(host: str, job: LoadJob, record: Callable[[RequestRow], None], clock: SteadyClock) -> Caller:
    return Caller(
        host,
        labels=Labels(run_id=job.run_id, experiment=job.experiment, arm=job.arm),
        timeout_s=job.timeout_s,
        shape=job.request,
        record=record,
        event=None,  # nobody looks at Locust's statistics here
        now=clock.now,
    )


def _agree_on_start(job: LoadJob, clock: SteadyClock) -> float:
    """Say that all is ready, and wait for the Unix time at which to begin, by the clock of who says it."""
    gc.collect()
    gc.freeze()  # what is loaded by now stays: no collection has to walk it while requests are timed
    gc.enable()
    write_whole(job.work_dir / READY, "")
    begin = job.work_dir / BEGIN
    while not begin.exists():
        gevent.sleep(LOOK_EVERY_S)
    start_s, monotonic_s = map(float, begin.read_text("utf-8").split())
    clock.agree(start_s, monotonic_s)
    return start_s


if __name__ == "__main__":
    main(Path(sys.argv[1]))
