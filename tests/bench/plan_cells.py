"""Twelve cells of a real fleet, chosen beforehand, each as predicted and as measured: a table of Markdown.

One run at half load is calibrated; nothing else that is measured goes into a prediction. The cells: 2, 4 and
8 containers, limits 1 and 4, loads of 60, 80 and 95 %, with and without a tight quota. `--cells 1,2` runs
some of them, and what was run before is kept in `--out`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from harness.clock import Clock, SystemClock
from harness.commands.progress import TerminalProgress
from harness.plan.calibrate import calibrate
from harness.plan.check import ARM, compare, experiment, record
from harness.plan.files import read_workload
from harness.plan.records import Fleet
from harness.plan.seen import of_run
from harness.records.workload import Arrivals, ContainerFacts, Duration, Service, Workload, to_toml
from harness.run.folder import RunFolder, new_run_id
from harness.simulator_config import Quota, RetryAfterMode

P99_WITHIN, THROUGHPUT_WITHIN = 0.10, 0.03
TRUE = Workload(
    name="cells",
    arrivals=Arrivals(rate_rps=1),
    service=Service(
        first_token=Duration(median_s=0.25, p99_s=0.6), rest=Duration(median_s=0.5, p99_s=1.5), tokens_out=20
    ),
    container=ContainerFacts(),
)
"""What the model is told to be like. The calibration sees its answers alone."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A fleet, a share of its slots, and whether the quota is 1.15 times the mean of its calls."""

    containers: int
    limit: int
    load: float
    tight: bool


CELLS = (
    Cell(containers=2, limit=1, load=0.60, tight=False),
    Cell(containers=2, limit=1, load=0.80, tight=True),
    Cell(containers=2, limit=4, load=0.80, tight=False),
    Cell(containers=2, limit=4, load=0.95, tight=False),
    Cell(containers=4, limit=1, load=0.60, tight=True),
    Cell(containers=4, limit=1, load=0.80, tight=False),
    Cell(containers=4, limit=1, load=0.95, tight=False),
    Cell(containers=4, limit=4, load=0.60, tight=False),
    Cell(containers=4, limit=4, load=0.80, tight=True),
    Cell(containers=8, limit=1, load=0.80, tight=False),
    Cell(containers=8, limit=1, load=0.95, tight=True),
    Cell(containers=8, limit=4, load=0.60, tight=True),
)


def new_folder(out: Path, name: str, clock: Clock) -> RunFolder:
    run_id = new_run_id(clock.now(), name)
    return RunFolder.create(out / run_id, run_id)


def calibrated(out: Path, progress: TerminalProgress, seconds: float) -> Workload:
    """Return the workload of one run at half load, measured once."""
    file = out / "workload.toml"
    if file.exists():
        return read_workload(file)
    clock = SystemClock()
    folder = new_folder(out, "half", clock)
    fleet = Fleet(containers=4, limit=1)
    rate_rps = 0.5 * 4 / TRUE.service.mean_s
    compare(TRUE, fleet, rate_rps, folder=folder, progress=progress, clock=clock, seconds=seconds)
    found = calibrate(
        of_run(
            folder.path, f"{experiment(TRUE, fleet, rate_rps, seconds=1).name}/{ARM}", lambda _: None
        ).history,
        name="cells",
        source="one run at 50 %",
    )
    file.write_text(to_toml(found.workload))
    return found.workload


def measured(number: int, known: Workload, out: Path, progress: TerminalProgress, seconds: float) -> dict:
    """Return a cell as predicted and as measured; what is in its file already is not run again."""
    cell, file = CELLS[number - 1], out / f"cell-{number}.json"
    if file.exists():
        return json.loads(file.read_text())
    clock = SystemClock()
    rate_rps = cell.load * cell.containers * cell.limit / (known.service.held_s + known.container.path_s)
    quota = Quota(rpm=60 * 1.15 * rate_rps, burst=5, retry_after=RetryAfterMode.EXACT) if cell.tight else None
    told = known.model_copy(update={"quota": quota, "arrivals": known.arrivals.at(rate_rps)})
    folder = new_folder(out, f"cell{number}", clock)
    fleet = Fleet(containers=cell.containers, limit=cell.limit, path_s=known.container.path_s)
    found = record(
        compare(
            told,
            fleet,
            rate_rps,
            folder=folder,
            progress=progress,
            clock=clock,
            seconds=seconds,
            seed=100 + number,
        )
    )
    file.write_text(json.dumps(found, indent=2))
    return found


def row(number: int, cell: Cell, found: dict) -> tuple[str, bool, bool, bool]:
    """Return a cell's row, and whether its p99 was near, within its interval, and its throughput near."""
    begin = (number, cell.containers, cell.limit, f"{cell.load:.0%}", "yes" if cell.tight else "no")
    if "p99" not in found["figures"]:  # there were too few answers to speak of one
        told = (*begin, found["requests"], "-", "-", "-", "unknown", found["doubt"], "")
        return "| " + " | ".join(map(str, told)) + " |", False, False, False
    p99, rate = found["figures"]["p99"], found["figures"]["throughput"]
    off = p99["measured"] / p99["predicted"] - 1
    rate_off = rate["measured"] / rate["predicted"] - 1
    near, within, steady = abs(off) <= P99_WITHIN, p99["within"], abs(rate_off) <= THROUGHPUT_WITHIN
    told = (
        *begin,
        *(found["requests"], f"{p99['predicted']:.2f} s", f"{p99['low']:.2f} to {p99['high']:.2f} s"),
        *(f"{p99['measured']:.2f} s", f"{off:+.0%}", "yes" if within else "**no**", f"{rate_off:+.1%}"),
    )
    if found["doubt"]:
        told = (*told[:9], "unknown", found["doubt"], "")
    return "| " + " | ".join(map(str, told)) + " |", near, within, steady


def main() -> None:
    """Print the table of the cells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--cells", default=",".join(str(number) for number in range(1, len(CELLS) + 1)))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    clock = SystemClock()
    rows = []
    with TerminalProgress(Console(stderr=True), clock.monotonic) as progress:
        known = calibrated(asked.out, progress, asked.seconds)
        for number in map(int, asked.cells.split(",")):
            cell = CELLS[number - 1]
            found = measured(number, known, asked.out, progress, asked.seconds)
            rows.append((*row(number, cell, found), found["doubt"] is None))
    print(
        "| cell | containers | limit | load | tight quota | requests | p99 predicted | 95 % of "
        "runs | measured | off | within | throughput off |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for text, *_ in rows:
        print(text)
    for place, words in (
        (1, "p99 within 10 %"),
        (2, "p99 within its interval"),
        (3, "throughput within 3 %"),
    ):
        told = [each for each in rows if each[-1]]
        print(f"\n{words}: {sum(each[place] for each in told)} of {len(told)} cells that tell.")


if __name__ == "__main__":
    main()
