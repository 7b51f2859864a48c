"""Baselines: measuring one, taking one from a saved run, and the history file that keeps them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from harness.clock import Clock
from harness.errors import InputError
from harness.gate.baseline import Baseline, BaselineComparison, baseline, compare, fails_more, obstacles
from harness.gate.blocks import MEASURES, Block, Side
from harness.gate.decide import BLURRED_SHARE, GateVerdict
from harness.gate.scenario import GateScenario
from harness.gate.session import BLOCKS, PLAN, Gate, GatePlan, GateProgress, GateSettings
from harness.gate.source import Source
from harness.gate.statistics import LookOutcome
from harness.run import folder as run_folder

SESSION = 16
"""Blocks that a session measures."""


def measure(
    source: Source,
    scenarios: Sequence[GateScenario],
    settings: GateSettings,
    progress: GateProgress,
    clock: Clock,
) -> list[Baseline]:
    """Measure a version alone.

    Returns:
        A baseline for each scenario.

    Raises:
        AgentrigError: it could not be started, or died.
    """
    made = Gate({Side.HEAD: source}, scenarios, settings, progress, clock)
    with ExitStack() as stack:
        made.up(stack)
        made.alone(SESSION)
    made.folder.clear_work()
    return of_run(made.folder.path)


def of_run(path: Path) -> list[Baseline]:
    """Take the baselines of head from a folder that `agentrig gate` or `agentrig baseline` wrote.

    Raises:
        InputError: it is not one, or a file of it is damaged.
    """
    file = path / PLAN
    try:
        plan: GatePlan = TypeAdapter(GatePlan).validate_json(file.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: is not a run folder of the gate: {PLAN} cannot be read ({error.strerror}). "
            "Give one that `agentrig gate --out` wrote, or none, to measure anew."
        ) from error
    except ValidationError as error:
        raise InputError(f"{file}: is damaged: {error.errors()[0]['msg']}") from error
    blocks = [row for row in run_folder.read_rows(path / BLOCKS, Block) if row.side is Side.HEAD]
    if not blocks:
        raise InputError(f"{path}: has no complete block of head: the run ended before. Run it again.")
    return [
        baseline(
            blocks,
            saved_s=plan.started_s,
            label=plan.labels[Side.HEAD],
            scenario=scenario,
            conditions=conditions,
        )
        for scenario, conditions in plan.conditions.items()
    ]


def read(file: Path) -> list[Baseline]:
    """Read a history; empty when there is no such file yet.

    Raises:
        InputError: a line is damaged.
    """
    return list(run_folder.read_rows(file, Baseline))


def add(file: Path, saved: Iterable[Baseline]) -> None:
    """Add sessions to a history.

    Raises:
        InputError: the file can't be written.
    """
    lines = [TypeAdapter(Baseline).dump_json(each).decode() + "\n" for each in saved]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as out:
            out.writelines(lines)
    except OSError as error:
        raise InputError(f"{file}: cannot be written to: {error.strerror}") from error


def judge(
    history: Sequence[Baseline], heads: Sequence[Baseline]
) -> tuple[GateVerdict, list[str], list[BaselineComparison]]:
    """Hold a session against the history, scenario by scenario.

    Returns:
        The verdict; why it is not PASS, a sentence each; and the figures.
    """
    reasons: list[str] = []
    found: list[BaselineComparison] = []
    unknown = failed = False
    for head in heads:
        past = [
            each
            for each in history
            if each.scenario == head.scenario and each.blurred <= BLURRED_SHARE * each.blocks
        ]
        if reason := past and fails_more(past, head):
            failed = True
            reasons.append(f"{head.scenario}: {reason}")
        if in_the_way := obstacles(past, head):
            unknown = True
            reasons += [f"{head.scenario}: not comparable: {each}" for each in in_the_way]
            continue
        comparisons = compare(past, head)
        found += comparisons
        reasons += [_reason(head.scenario, each) for each in comparisons if each.call is not LookOutcome.PASS]
    calls = {each.call for each in found}
    if failed or LookOutcome.FAIL in calls:
        return GateVerdict.FAIL, reasons, found
    if unknown or not found:
        return GateVerdict.UNKNOWN, reasons, found
    return (
        (GateVerdict.INCONCLUSIVE if LookOutcome.INCONCLUSIVE in calls else GateVerdict.PASS),
        reasons,
        found,
    )


def _reason(scenario: str, found: BaselineComparison) -> str:
    ratio = f"{scenario}: {found.measure.name} is {found.ratio:.2f} times the past sessions'"
    if found.call is LookOutcome.FAIL:
        return f"{ratio} (at least {found.low:.2f})"
    return f"{ratio}, which may be chance: below {found.least:.2f} times, these sessions can't tell"


def to_csv(history: Iterable[Baseline]) -> str:
    """Write a history as a table, a line a session: what change-point tools read.

    Returns:
        Columns: time (ISO 8601), scenario, version, and each figure with its unit.
    """
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    names = [f"{each.name} {each.unit}".replace(" 1", "").replace(" ", "_") for each in MEASURES]
    table.writerow(["time", "scenario", "version", *names])
    for each in sorted(history, key=lambda saved: saved.saved_s):
        time = datetime.fromtimestamp(each.saved_s, UTC).isoformat(timespec="seconds")
        figures = (each.figures.get(measure.name) for measure in MEASURES)
        cells = ["" if figure is None else f"{figure:.6g}" for figure in figures]
        table.writerow([time, each.scenario, each.label, *cells])
    return out.getvalue()
