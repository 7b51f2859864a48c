"""Twelve cells of a real fleet, chosen beforehand, each as predicted and as measured: a table of Markdown.

One run at half load is calibrated; nothing else that is measured goes into a prediction. The cells: 2, 4 and
8 containers, limits 1 and 4, loads of 60, 80 and 95 %, with and without a tight quota. `--cells 1,2` runs
some of them, and what was run before is kept in `--out`. Where the machine was in the way, and not where the
figures are other than predicted, a run is made again: `--tries` times, and when the same is asked for anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from harness.clock import Clock, SystemClock
from harness.commands.progress import TerminalProgress
from harness.errors import AgentrigError
from harness.plan.calibrate import calibrate
from harness.plan.check import ARM, compare, experiment, record
from harness.plan.files import read_workload
from harness.plan.records import Fleet
from harness.plan.seen import of_run
from harness.records.workload import Arrivals, ContainerFacts, Duration, Retries, Service, Workload, to_toml
from harness.run.folder import RunFolder, new_run_id
from harness.simulator_config import Quota, RetryAfterMode, SimulatorConfig

P99_WITHIN, THROUGHPUT_WITHIN = 0.10, 0.03
TRUE = Workload(
    name="cells",
    arrivals=Arrivals(rate_rps=1),
    service=Service(
        first_token=Duration(median_s=0.125, p99_s=0.3),
        rest=Duration(median_s=0.25, p99_s=0.75),
        tokens_out=20,
    ),
    retries=Retries(base_s=1.0),
    container=ContainerFacts(),
)
"""What the model is told to be like. The calibration sees its answers alone. They are short, for how near a
p99 can come to any prediction is up to the number of requests; and long enough for two cores to carry the
largest cell, of some 45 requests a second."""
HALF = Fleet(containers=4, limit=2)
"""What is calibrated on, at half its load: some 10 requests a second, as many as the cells have about."""
HALF_SHARE = 0.10
"""Of the time that is given: waits at 95 % of the slots are ten times as far off as the service is."""
TRIES = 2
LEAST_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A fleet, a share of its slots, and whether the quota is 1.15 times the mean of its calls.

    Attributes:
        chance: by which share of itself the p99 differs from run to run of 200 s, one standard deviation, in
            a simulation of the truth. Each cell gets time by its square: then all p99s are equally sure.
    """

    containers: int
    limit: int
    load: float
    tight: bool
    chance: float


CELLS = (
    Cell(containers=2, limit=1, load=0.60, tight=False, chance=0.064),
    Cell(containers=2, limit=1, load=0.80, tight=True, chance=0.086),
    Cell(containers=2, limit=4, load=0.80, tight=False, chance=0.030),
    Cell(containers=2, limit=4, load=0.95, tight=False, chance=0.102),
    Cell(containers=4, limit=1, load=0.60, tight=True, chance=0.076),
    Cell(containers=4, limit=1, load=0.80, tight=False, chance=0.069),
    Cell(containers=4, limit=1, load=0.95, tight=False, chance=0.095),
    Cell(containers=4, limit=4, load=0.60, tight=False, chance=0.022),
    Cell(containers=4, limit=4, load=0.80, tight=True, chance=0.035),
    Cell(containers=8, limit=1, load=0.80, tight=False, chance=0.045),
    Cell(containers=8, limit=1, load=0.95, tight=True, chance=0.061),
    Cell(containers=8, limit=4, load=0.60, tight=True, chance=0.025),
)


def new_folder(out: Path, name: str, clock: Clock) -> RunFolder:
    run_id = new_run_id(clock.now(), name)
    return RunFolder.create(out / run_id, run_id)


def seconds_of(cells: Sequence[Cell], minutes: float) -> list[float]:
    """Share a time out among cells, so that chance leaves the p99 of each as sure as that of the others."""
    each = 60 * minutes * (1 - HALF_SHARE) / sum(cell.chance**2 for cell in cells)
    return [max(LEAST_S, each * cell.chance**2) for cell in cells]


def calibrated(out: Path, progress: TerminalProgress, seconds: float) -> Workload:
    """Return the workload of one run at half load, measured once.

    Raises:
        AgentrigError: the machine was in its way, and what it says is of that machine.
    """
    file = out / "workload.toml"
    if file.exists():
        return read_workload(file)
    clock = SystemClock()
    rate_rps = 0.5 * HALF.containers * HALF.limit / TRUE.service.mean_s
    for _ in range(TRIES):
        folder = new_folder(out, "half", clock)
        ran = compare(TRUE, HALF, rate_rps, folder=folder, progress=progress, clock=clock, seconds=seconds)
        if ran.doubt is None:
            break
        print(f"half load: not calibrated on, {ran.doubt}", file=sys.stderr)
    else:
        raise AgentrigError("the machine was in the way each time that half the load was measured")
    arm = f"{experiment(TRUE, HALF, rate_rps, seconds=1).name}/{ARM}"
    history = of_run(folder.path, arm, lambda _: None).history
    found = calibrate(history, name="cells", source="one run at 50 %")
    file.write_text(to_toml(found.workload))
    return read_workload(file)


def told_of(cell: Cell, known: Workload) -> tuple[Workload, Fleet, float]:
    """Return what a cell's load is like, its fleet, and its rate."""
    rate_rps = cell.load * cell.containers * cell.limit / (known.service.held_s + known.container.path_s)
    quota = Quota(rpm=60 * 1.15 * rate_rps, burst=5, retry_after=RetryAfterMode.EXACT) if cell.tight else None
    changed = {"quota": quota, "arrivals": known.arrivals.at(rate_rps), "retries": TRUE.retries}
    fleet = Fleet(containers=cell.containers, limit=cell.limit, path_s=known.container.path_s)
    return known.model_copy(update=changed), fleet, rate_rps


def model_of(told: Workload, seed: int) -> SimulatorConfig:
    """Return what the model is like in a cell: the truth, of which the calibration has seen answers alone."""
    return TRUE.model_copy(update={"quota": told.quota}).simulator(seed)


def measured(number: int, known: Workload, out: Path, progress: TerminalProgress, seconds: float) -> None:
    """Run a cell, and keep it as predicted and as measured; what is kept without doubt is not run again."""
    file = out / f"cell-{number}.json"
    kept = json.loads(file.read_text()) if file.exists() else None
    if kept is not None and kept["doubt"] is None:
        return
    told, fleet, rate_rps = told_of(CELLS[number - 1], known)
    clock = SystemClock()
    folder = new_folder(out, f"cell{number}", clock)
    runs = 1 + (kept["runs"] if kept else 0)
    compared = compare(
        told,
        fleet,
        rate_rps,
        folder=folder,
        progress=progress,
        clock=clock,
        seconds=seconds,
        seed=(seed := 100 * runs + number),
        simulator=model_of(told, seed),
    )
    found = record(compared)
    file.write_text(json.dumps({**asdict(found), "runs": runs, "seconds": seconds}, indent=2))


def row(number: int, cell: Cell, found: dict) -> tuple[str, bool, bool, bool]:
    """Return a cell's row, and whether its p99 was near, within its interval, and its throughput near."""
    begin = (number, cell.containers, cell.limit, f"{cell.load:.0%}", "yes" if cell.tight else "no")
    if found["doubt"]:
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
    return "| " + " | ".join(map(str, told)) + " |", near, within, steady


def main() -> None:
    """Run cells and print their table; with `--show`, print that of what was run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="of load, all cells and the half together"
    )
    parser.add_argument("--cells", default=",".join(str(number) for number in range(1, len(CELLS) + 1)))
    parser.add_argument(
        "--tries", type=int, default=TRIES, help="of a cell that the machine got in the way of"
    )
    parser.add_argument("--show", action="store_true", help="run nothing")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    numbers = [int(each) for each in asked.cells.split(",")]
    if not asked.show:
        run(asked.out, numbers, minutes=asked.minutes, tries=asked.tries)
    show(asked.out, numbers)


def run(out: Path, numbers: Sequence[int], *, minutes: float, tries: int) -> None:
    """Run cells, each once before any is run again."""
    lasts = dict(enumerate(seconds_of(CELLS, minutes), start=1))
    with TerminalProgress(Console(stderr=True), SystemClock().monotonic) as progress:
        known = calibrated(out, progress, 60 * minutes * HALF_SHARE)
        for number in [number for _ in range(tries) for number in numbers]:
            try:
                measured(number, known, out, progress, lasts[number])
            except AgentrigError as error:  # a fleet that did not start: the others may
                print(f"cell {number}: {error}", file=sys.stderr)


def show(out: Path, numbers: Sequence[int]) -> None:
    """Print the table of what was run."""
    files = {number: out / f"cell-{number}.json" for number in numbers}
    found = {number: json.loads(file.read_text()) for number, file in files.items() if file.exists()}
    rows = [(*row(number, CELLS[number - 1], one), one["doubt"] is None) for number, one in found.items()]
    print(
        "| cell | containers | limit | load | tight quota | requests | p99 predicted | 95 % of "
        "runs | measured | off | within | throughput off |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for text, *_ in rows:
        print(text)
    told = [each for each in rows if each[-1]]
    for place, words in (
        (1, f"p99 within {P99_WITHIN:.0%}"),
        (2, "p99 within its interval"),
        (3, f"throughput within {THROUGHPUT_WITHIN:.0%}"),
    ):
        print(f"\n{words}: {sum(each[place] for each in told)} of {len(told)} cells that tell.")
    if again := [f"{number} ({one['runs']} runs)" for number, one in found.items() if one["runs"] > 1]:
        print(f"\nRun again, for the machine was in the way: {', '.join(again)}.")
    if doubts := read_workload(out / "workload.toml").doubts:
        print(f"\nThe calibration is in doubt: {'; '.join(doubts)}.")


if __name__ == "__main__":
    main()
