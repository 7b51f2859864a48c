"""The whole matrix of an experiment, cell by cell: what `agentrig run NAME --full` does.

Each cell is a run of its own in a folder of its own. A cell that has its verdict is not run again, so
the same command with the same `--out` goes on where it was interrupted. Of a cell that held, the spans
are deleted: a matrix would fill the disk with what nobody looks at.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Protocol

from harness import run_folder
from harness.clock import Clock
from harness.experiment.spec import Cell, ExperimentSpec
from harness.pipeline import Progress, Settings, run
from harness.records import ArmSummary, ExperimentResult, Outcome, RunResult
from harness.report.verdict_json import from_json

TABLE = "matrix.md"
SEED = "seed"
COLUMNS = ("seeds", "requests", "errors", "p99, ms", "p99 / optimum", "idle while waiting, s")


class CellProgress(Progress, Protocol):
    """Who is told how far a matrix is."""

    def cell(self, name: str, number: int, of: int, *, kept: bool) -> None:
        """Cell `number` of `of` begins, or is there already."""
        ...


def run_matrix(
    spec: ExperimentSpec, settings: Settings, progress: CellProgress, clock: Clock
) -> list[tuple[Cell, RunResult]]:
    """Run what is missing of an experiment's matrix.

    Args:
        spec: with its matrix.
        settings: `out` is the folder that gets a folder per cell, and `matrix.md`.
        progress: is told.
        clock: for the runs.

    Raises:
        AgentrigError: a cell could not be started; those before it are kept.
        ValueError: the matrix names what an experiment doesn't have.
    """
    cells = spec.cells()
    out = settings.out or Path("runs") / spec.name
    done: list[tuple[Cell, RunResult]] = []
    for number, cell in enumerate(cells, start=1):
        folder = out / cell.spec.name
        kept = (folder / "verdict.json").is_file()
        progress.cell(cell.spec.name, number, len(cells), kept=kept)
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
            result, _ = run([cell.spec], replace(settings, out=folder), progress, clock)
            if result.verdict is Outcome.PASS:
                (folder / run_folder.SPANS).unlink(missing_ok=True)
        done.append((cell, from_json((folder / "verdict.json").read_text("utf-8"))))
        (out / TABLE).write_text(table([(c, r.experiments[0]) for c, r in done]), "utf-8")
    return done


def table(cells: Sequence[tuple[Cell, ExperimentResult]]) -> str:
    """Write the cells as a Markdown table: a row per setting and arm, its seeds side by side.

    A figure is the median over the seeds, with their range in brackets.
    """
    lines = [
        f"| setting | arm | {' | '.join(COLUMNS)} | checks |",
        f"|{'---|' * (len(COLUMNS) + 3)}",
    ]
    for setting, results in _by_setting(cells).items():
        lines += [
            f"| {setting} | {arm} | {len(results)} | {_row([result.arms[arm] for result in results])} "
            f"| {_verdicts(arm, results)} |"
            for arm in results[0].arms
        ]
    return "\n".join(lines) + "\n"


def _by_setting(cells: Sequence[tuple[Cell, ExperimentResult]]) -> dict[str, list[ExperimentResult]]:
    groups: dict[str, list[ExperimentResult]] = {}
    for cell, result in cells:
        told = (f"{key.rpartition('.')[2]} {value}" for key, value in cell.set.items() if key != SEED)
        groups.setdefault(", ".join(told), []).append(result)
    return groups


def _row(arms: Sequence[ArmSummary]) -> str:
    return " | ".join(
        (
            str(sum(arm.requests for arm in arms)),
            str(sum(arm.errors for arm in arms)),
            _range([arm.p99_ms for arm in arms], ".0f"),
            _range([arm.p99_over_optimum for arm in arms], ".2f"),
            _range([arm.idle_while_waiting_s for arm in arms], ".1f"),
        )
    )


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
