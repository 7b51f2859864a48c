"""What the load's process is told, and what it tells: the files that the two sides share."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from harness.outside import secrets
from harness.ramp import RampLimits
from harness.records.sent import Arrival
from harness.under_test import RequestShape

JOB: Final = "load.json"
READY: Final = "load-ready"
BEGIN: Final = "load-begin"
ROWS: Final = "rows.jsonl"
RESULT: Final = "load-result.json"
DEFAULT_SHAPE: Final = RequestShape()
SHAPE: Final = TypeAdapter(RequestShape)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadJob:
    """One load: what is sent where.

    Attributes:
        hosts: base URLs of the service: one per balancer, which the calls take in turns.
        experiment, arm, run_id: what the rows are marked with, and trace ids are derived from.
        arrivals: the plan.
        timeout_s: a call that takes longer is given up.
        max_in_flight: above it an arrival is dropped, and counted.
        request: how a request looks, and its answer.
        ramp: what a step has to stay within for the next ones to be sent, None without a ramp.
        work_dir: folder for the files of this job; it exists.
        log: what the load's process prints.
    """

    hosts: tuple[str, ...]
    experiment: str
    arm: str
    run_id: str
    arrivals: tuple[Arrival, ...]
    timeout_s: float
    max_in_flight: int
    work_dir: Path
    log: Path
    request: RequestShape = DEFAULT_SHAPE
    ramp: RampLimits | None = None

    @property
    def rows(self) -> Path:
        """The file that gets a `RequestRow` per call as it ends."""
        return self.work_dir / ROWS

    @property
    def longest_s(self) -> float:
        """Seconds from begin to the end of the last call, at most."""
        return max((arrival.due_s for arrival in self.arrivals), default=0.0) + self.timeout_s


def write_job(job: LoadJob) -> None:
    """Write the job into its folder, and remove what an earlier one left there."""
    for name in (READY, BEGIN, ROWS, RESULT):
        (job.work_dir / name).unlink(missing_ok=True)
    record = dataclasses.asdict(job) | {"work_dir": str(job.work_dir), "log": str(job.log)}
    record["hidden"] = secrets.known()  # what it shortens has to be rid of them before
    write_whole(job.work_dir / JOB, json.dumps(record))


def read_job(work_dir: Path) -> LoadJob:
    """Read the job of a folder; its secrets are hidden in what is kept from then on."""
    record: dict[str, Any] = json.loads((work_dir / JOB).read_text("utf-8"))
    words, prompts = record.pop("hidden")
    secrets.remember(words)
    secrets.remember_prompts(prompts)
    arrivals = tuple(Arrival(**arrival) for arrival in record.pop("arrivals"))
    folder, log = Path(record.pop("work_dir")), Path(record.pop("log"))
    hosts, ramp = tuple(record.pop("hosts")), record.pop("ramp")
    limits = RampLimits(**ramp) if ramp else None
    shape = SHAPE.validate_python(record.pop("request"))
    return LoadJob(
        **record, request=shape, hosts=hosts, ramp=limits, arrivals=arrivals, work_dir=folder, log=log
    )


def write_whole(file: Path, text: str) -> None:
    """Write a file so that a reader sees nothing or all of it."""
    aside = file.with_name(f".{file.name}.part")
    aside.write_text(text, "utf-8")
    aside.replace(file)
