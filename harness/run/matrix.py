"""The whole matrix of an experiment, cell by cell: what `agentrig run NAME --full` does.

Each cell is a run of its own in a folder of its own. A cell that has its verdict is not run again, so
the same command with the same `--out` goes on where it was interrupted; what was asked otherwise, or made
by another version, is not mixed in. Of a cell that held, the spans are deleted: a matrix would fill the
disk with what nobody looks at.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Protocol

from pydantic import ValidationError
from rich.console import RenderableType

from harness.clock import Clock
from harness.errors import InputError
from harness.outside.text import read_text
from harness.records.calibration import Calibration
from harness.records.outcome import ArmSummary, ExperimentResult, Outcome
from harness.records.spec import Cell, ExperimentSpec
from harness.report.charts import frame
from harness.report.charts.ratios import optimum_ratios
from harness.report.charts.sustained import sustained_rates
from harness.report.terminal import cells_summary
from harness.report.verdict_json import from_json
from harness.report.words import NONE
from harness.run import code
from harness.run import folder as run_folder
from harness.run.folder import RunFolder
from harness.run.pipeline import Progress, RunSettings, as_run, measure, require_fleets, run

VERDICT, TABLE, PICTURE = "verdict.json", "matrix.md", "matrix.svg"
CALIBRATION = "calibration.json"
SEED, AGENTS = "seed", "fleet.agents"
Cells = Sequence[tuple[Cell, ExperimentResult]]


class CellProgress(Progress, Protocol):
    """Who is told how far a matrix is."""

    def cell(self, name: str, number: int, of: int, *, kept: bool) -> None:
        """Cell `number` of `of` begins, or is there already."""
        ...


def run_matrix(spec: ExperimentSpec, settings: RunSettings, progress: CellProgress, clock: Clock) -> Cells:
    """Run what is missing of an experiment's matrix.

    Args:
        spec: with its matrix.
        settings: `out` is the folder that gets a folder per cell, and `matrix.md`.
        progress: is told.
        clock: for the runs.

    Raises:
        AgentrigError: a cell could not be started; those before it are kept.
        InputError: another run works in the folder, or a cell there was asked something else, or by another
            version.
        ValueError: the matrix names what an experiment doesn't have.
    """
    require_fleets([cell.spec for cell in spec.cells()], settings)  # before the first of them takes minutes
    out = folder_of(spec, settings)
    done: list[tuple[Cell, ExperimentResult]] = []
    with run_folder.held(out):
        settings = replace(settings, calibration=_calibration(spec, settings, out, progress, clock))
        cells = spec.cells()
        fitted = [replace(cell, spec=as_run(cell.spec, settings)) for cell in cells]
        kept = {cell.spec.name for cell in fitted if _has_verdict(cell, out / cell.spec.name)}
        for number, cell in enumerate(cells, start=1):
            folder = out / cell.spec.name
            progress.cell(cell.spec.name, number, len(cells), kept=cell.spec.name in kept)
            if cell.spec.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)
                result, _ = run([cell.spec], replace(settings, out=folder), progress, clock)
                if result.verdict is Outcome.PASS:
                    (folder / run_folder.SPANS).unlink(missing_ok=True)
            saved = from_json(read_text(folder / VERDICT, "Delete that folder to have the cell run again."))
            done.append((fitted[number - 1], saved.experiments[0]))
            RunFolder(out).write(TABLE, table(done))
            if drawn := picture(done):
                RunFolder(out).write(PICTURE, drawn)
    return done


def _calibration(
    spec: ExperimentSpec, settings: RunSettings, out: Path, progress: CellProgress, clock: Clock
) -> Calibration | None:
    """Measure what requests cost here, or read what was measured for the first cells: all ask the same."""
    if settings.rate_scale is not None:
        return None
    file = out / CALIBRATION
    if not file.is_file():
        found = measure([cell.spec for cell in spec.cells()], settings, RunFolder(out), progress, clock)
        RunFolder(out).write(CALIBRATION, found.model_dump_json(indent=2) + "\n")
    try:
        return Calibration.model_validate_json(read_text(file, "Delete it to have it measured again."))
    except ValidationError as error:
        raise InputError(f"{file}: is damaged. Delete it to have it measured again.") from error


def _has_verdict(cell: Cell, folder: Path) -> bool:
    if not (folder / VERDICT).is_file():
        return False
    plan = RunFolder.open(folder).plan()
    if plan.code != code.running():
        raise InputError(
            f"{folder}: was run by another version, {plan.code or plan.version}; this one is "
            f"{code.running()}. Give another --out, or delete that folder to have the cell run again."
        )
    if plan.experiments != (cell.spec,):
        raise InputError(
            f"{folder}: was run with other settings than the experiment has now. Give another --out, or "
            "delete that folder to have the cell run again."
        )
    return True


def folder_of(spec: ExperimentSpec, settings: RunSettings) -> Path:
    """Return the folder that gets a folder per cell: always the same, so that a matrix goes on in it."""
    return settings.out or Path("runs") / spec.name


def picture(cells: Cells) -> str | None:
    """Draw what the matrix shows.

    Returns:
        With a ramp, the rate that each arm sustains against the number of containers; without one, the
        p99 over the optimum by setting; None where neither is known.
    """
    looks = frame.arm_styles(cells[0][1].arms)
    sustained: dict[str, dict[int, list[float]]] = {}
    capacity_rps: dict[int, float] = {}
    for cell, result in cells:
        agents = int(cell.set.get(AGENTS, cell.spec.fleet.agents))
        for name, arm in result.arms.items():
            if arm.sustained_rps is not None:
                sustained.setdefault(name, {}).setdefault(agents, []).append(arm.sustained_rps)
                capacity_rps[agents] = cell.spec.capacity_rps(name)
    if sustained:
        return sustained_rates(sustained, looks, capacity_rps)
    ratios = {
        setting: {
            name: [found for result in results if (found := result.arms[name].p99_over_optimum) is not None]
            for name in results[0].arms
        }
        for setting, results in _by_setting(cells).items()
    }
    if any(found for by_arm in ratios.values() for found in by_arm.values()):
        return optimum_ratios(ratios, looks)
    return None


def table(cells: Cells) -> str:
    """Write the cells as a Markdown table: a row per setting and arm, its seeds side by side.

    A figure is the median over the seeds, with their range in brackets.
    """
    columns = RAMP_COLUMNS if _ramped(cells) else COLUMNS
    lines = [
        f"| setting | arm | seeds | {' | '.join(columns)} | checks |",
        f"|{'---|' * (len(columns) + 4)}",
    ]
    for setting, results in _by_setting(cells).items():
        lines += [
            f"| {setting} | {arm} | {len(results)} "
            f"| {_row([result.arms[arm] for result in results], columns)} | {_verdicts(arm, results)} |"
            for arm in results[0].arms
        ]
    return "\n".join(lines) + "\n"


def overview(cells: Cells, out: Path) -> RenderableType:
    """Tell on one screen how the cells came out: the arms' leading figure by setting.

    Args:
        cells: with their results.
        out: the folder with the table and the picture.
    """
    arms = [arm for _, result in cells for arm in result.arms.values()]
    if _ramped(cells):
        name, figure = RATE, _medians(lambda arm: arm.sustained_rps, ".1f")
    elif any(arm.p99_over_optimum is not None for arm in arms):
        name, figure = RATIO, _medians(lambda arm: arm.p99_over_optimum, ".2f")
    else:
        name, figure = P99, _medians(lambda arm: arm.p99_ms, ".0f")
    files = [out / file for file in (TABLE, PICTURE) if (out / file).is_file()]
    return cells_summary(_by_setting(cells), f"{name}, the median of the seeds", figure, files)


def _ramped(cells: Cells) -> bool:
    """Whether there was a ramp: over all of its steps, a p99 says nothing."""
    return any(arm.sustained_rps is not None for _, result in cells for arm in result.arms.values())


def _by_setting(cells: Cells) -> dict[str, list[ExperimentResult]]:
    groups: dict[str, list[ExperimentResult]] = {}
    for cell, result in cells:
        told = (f"{key.rpartition('.')[2]} {value}" for key, value in cell.set.items() if key != SEED)
        groups.setdefault(", ".join(told), []).append(result)
    return groups


def _row(arms: Sequence[ArmSummary], columns: Columns) -> str:
    return " | ".join(column(arms) for column in columns.values())


def _range(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    if len(known) == 1:
        return format(known[0], form)
    return f"{median(known):{form}} ({min(known):{form}} to {max(known):{form}})"


def _verdicts(arm: str, results: Sequence[ExperimentResult]) -> str:
    return ", ".join(f"{word} {count}" for word, count in _counts(arm, results)) or "-"


def _counts(arm: str, results: Sequence[ExperimentResult]) -> Iterator[tuple[str, int]]:
    checks = [check for result in results for check in result.checks if check.arm == arm]
    for outcome, word in ((Outcome.PASS, "held"), (Outcome.FAIL, "fell short"), (Outcome.UNKNOWN, "unknown")):
        if count := sum(check.verdict is outcome for check in checks):
            yield word, count


def _medians(
    figure: Callable[[ArmSummary], float | None], form: str
) -> Callable[[Sequence[ArmSummary]], str]:
    def text(arms: Sequence[ArmSummary]) -> str:
        known = [value for value in map(figure, arms) if value is not None]
        return format(median(known), form) if known else NONE

    return text


def _ranges(figure: Callable[[ArmSummary], float | None], form: str) -> Callable[[Sequence[ArmSummary]], str]:
    return lambda arms: _range([figure(arm) for arm in arms], form)


Columns = Mapping[str, Callable[[Sequence[ArmSummary]], str]]
COUNTS: Columns = {
    "requests": lambda arms: str(sum(arm.requests for arm in arms)),
    "errors": lambda arms: str(sum(arm.errors for arm in arms)),
}
P99, RATIO, RATE = "p99, ms", "p99 / optimum", "sustained, requests/s"
COLUMNS: Columns = {
    **COUNTS,
    P99: _ranges(lambda arm: arm.p99_ms, ".0f"),
    RATIO: _ranges(lambda arm: arm.p99_over_optimum, ".2f"),
    "idle while waiting, s": _ranges(lambda arm: arm.idle_while_waiting_s, ".1f"),
}
RAMP_COLUMNS: Columns = {**COUNTS, RATE: _ranges(lambda arm: arm.sustained_rps, ".1f")}
"""The columns of an experiment, and of one with a ramp: each takes an arm's summaries, one per seed."""
