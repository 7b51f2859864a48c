"""Does a verdict flip? Whole runs with different seeds, side by side.

    python -m tests.proof.whole_runs --seeds 5 --out runs/whole

Each seed is an `agentrig run` of its own, of some 24 minutes. What its checks saw is added to
`docs/whole-runs.jsonl`, a line each; a seed that is there already is not run again. The table in
`docs/whole-runs.md` is made anew of all of them; with `--seeds 0`, nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import reference_agent
from harness.records.outcome import Outcome, RunResult
from harness.report import words
from harness.report.verdict_json import from_json

ROOT = Path(reference_agent.__file__).parents[1]
RUNS = ROOT / "docs" / "whole-runs.jsonl"
PAGE = ROOT / "docs" / "whole-runs.md"
HEAD = """# Does a verdict flip?

{runs} whole runs on a machine of {cores} cores, each with other arrivals, latencies and faults, made by
`python -m tests.proof.whole_runs`, which adds to `whole-runs.jsonl` and writes this page. A run took
{least} to {most}. {verdict}{notes}

Each line is a check in an arm; *seen* is what it saw, the median of the runs and their range. A control (in
brackets) is a fault on purpose: there the check holds when the fault was found.

| experiment | check | arm | limit | seen | held |
|---|---|---|---|---|---|
{rows}
"""


@dataclass(frozen=True, kw_only=True)
class Saw:
    """What a check saw in an arm, as in `harness.records.CheckResult`."""

    experiment: str
    check: str
    arm: str
    control: bool
    limit: float | None
    unit: str
    observed: float | None
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """One whole run; `note` is what a reader has to know of it, written by hand."""

    seed: int
    verdict: str
    took_s: float
    saw: tuple[Saw, ...]
    note: str = ""


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many: 1, 2, 3, ...")
    parser.add_argument("--out", type=Path, default=Path("runs/whole"), help="gets a run folder a seed")
    options = parser.parse_args()
    done = read()
    for seed in range(1, options.seeds + 1):
        if seed not in {run.seed for run in done}:
            done.append(of(seed, whole_run(seed, options.out / f"seed-{seed}")))
            RUNS.write_text("".join(json.dumps(asdict(run)) + "\n" for run in done), "utf-8")
    PAGE.write_text(page(done), "utf-8")


def read() -> list[Run]:
    """Read all runs so far."""
    lines = RUNS.read_text("utf-8").splitlines() if RUNS.exists() else []
    records = map(json.loads, lines)
    return [Run(**record | {"saw": tuple(Saw(**saw) for saw in record["saw"])}) for record in records]


def whole_run(seed: int, folder: Path) -> RunResult:
    """Run everything with a seed; the command's verdict is read, whatever it is."""
    shutil.rmtree(folder, ignore_errors=True)  # one that was interrupted
    subprocess.run(
        [sys.executable, "-m", "harness", "run", "--seed", str(seed), "--out", str(folder)],
        cwd=ROOT,
        check=False,
    )
    return from_json((folder / "verdict.json").read_text("utf-8"))


def of(seed: int, result: RunResult) -> Run:
    """Keep of a run what its checks saw."""
    return Run(
        seed=seed,
        verdict=str(result.verdict),
        took_s=round(result.duration_s),
        saw=tuple(
            Saw(
                experiment=experiment.name,
                check=check.id,
                arm=check.arm,
                control=check.control,
                limit=check.limit,
                unit=check.unit,
                observed=check.observed,
                verdict=str(check.verdict),
            )
            for experiment in result.experiments
            for check in experiment.checks
        ),
    )


# --- the page --------------------------------------------------------------------------
def page(runs: Sequence[Run]) -> str:
    """Make the page of all runs."""
    by_check: dict[tuple[str, str, str, float | None], list[Saw]] = {}
    for run in runs:
        for saw in run.saw:
            by_check.setdefault((saw.experiment, saw.check, saw.arm, saw.limit), []).append(saw)
    return HEAD.format(
        runs=len(runs),
        cores=os.cpu_count(),
        least=words.seconds(min(run.took_s for run in runs)),
        most=words.seconds(max(run.took_s for run in runs)),
        verdict=sentence(runs, list(by_check.values())),
        notes=noted(runs),
        rows="\n".join(map(row, by_check.values())),
    )


def sentence(runs: Sequence[Run], checks: Sequence[Sequence[Saw]]) -> str:
    """Say whether any verdict differed from run to run."""
    flipped = [seen[0] for seen in checks if len({saw.verdict for saw in seen}) > 1]
    counted = Counter(run.verdict for run in runs)
    told = ", ".join(f"{count} x {verdict}" for verdict, count in counted.items())
    if not flipped:
        return f"Verdicts: {told}. None of the {len(checks)} checks changed its mind."
    names = ", ".join(f"`{saw.check}` in {saw.experiment}/{saw.arm}" for saw in flipped)
    return (
        f"Verdicts: {told}. Of {len(checks)} checks, {len(flipped)} did not say the same each time: {names}."
    )


def noted(runs: Sequence[Run]) -> str:
    """Write the notes, each once, with the seeds of its runs."""
    seeds: dict[str, list[str]] = {}
    for run in runs:
        seeds.setdefault(run.note, []).append(str(run.seed))
    return "".join(
        f"\n\nSeed{'s' * (len(of) > 1)} {', '.join(of)}: {note}" for note, of in seeds.items() if note
    )


def row(seen: Sequence[Saw]) -> str:
    """Make the line of a check in an arm."""
    first = seen[0]
    figures = [saw.observed for saw in seen if saw.observed is not None]
    held = sum(saw.verdict == Outcome.PASS for saw in seen)
    cells = (
        first.experiment,
        f"`{first.check}`",
        f"({first.arm})" if first.control else first.arm,
        "-" if first.limit is None else words.quantity(first.limit, first.unit),
        spread(figures, first.unit),
        f"{held} of {len(seen)}",
    )
    return f"| {' | '.join(cells)} |"


def spread(figures: Sequence[float], unit: str) -> str:
    """Write the median and the range, or the one figure that all are."""
    if not figures:
        return "-"
    low, middle, high = (
        words.quantity(value, unit) for value in (min(figures), statistics.median(figures), max(figures))
    )
    return middle if low == high else f"{middle} ({low} to {high})"


if __name__ == "__main__":
    main()
