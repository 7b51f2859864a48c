"""Baselines: measuring one, taking one from a saved run, and the history file that keeps them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from harness.clock import Clock
from harness.errors import InputError
from harness.gate.baseline import (
    Baseline,
    BaselineComparison,
    baseline,
    compare,
    differences,
    fails_more,
    less_work,
    obstacles,
)
from harness.gate.blocks import MEASURES, Block, Side
from harness.gate.decide import BLURRED_SHARE, GateVerdict
from harness.gate.folder import BLOCKS, LEAST, read_plan
from harness.gate.scenario import GateScenario
from harness.gate.session import Gate, GateProgress, GateSettings
from harness.gate.source import Source
from harness.gate.statistics import LookOutcome
from harness.run import folder as run_folder

LATEST_S = 253_402_300_800
"""The year 10000: no calendar goes on."""
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
    with made.kept_if_cut_short(), ExitStack() as stack:
        made.up(stack)
        made.alone(SESSION)
    made.folder.clear_work()
    return of_run(made.folder.path)


def of_run(path: Path) -> list[Baseline]:
    """Take the baselines of head from a folder that `agentrig gate` or `agentrig baseline` wrote.

    Raises:
        InputError: it is none, or a file of it is damaged.
    """
    plan = read_plan(path)
    blocks = [row for row in run_folder.read_rows(path / BLOCKS, Block) if row.side is Side.HEAD]
    if not blocks:
        raise InputError(f"{path}: has no complete block of head: the run ended before. Run it again.")
    if without := sorted(plan.conditions.keys() - {block.scenario for block in blocks}):
        raise InputError(f"{path}: has no block of {without[0]}, which its plan names. Run it again.")
    return [
        baseline(
            blocks,
            saved_s=plan.started_s,
            label=plan.labels.get(Side.HEAD, Side.HEAD),
            scenario=scenario,
            conditions=conditions,
        )
        for scenario, conditions in plan.conditions.items()
    ]


def read(file: Path) -> list[Baseline]:
    """Read a history; empty when there is no such file yet.

    Raises:
        InputError: a line is damaged, or has figures that can't be.
    """
    found = list(run_folder.read_rows(file, Baseline))
    for number, each in enumerate(found, start=1):
        if _cannot_be(each):
            raise InputError(f"{file}: is damaged: session {number} has figures that can't be")
    return found


def _cannot_be(session: Baseline) -> bool:
    counts = (session.blocks - 1, session.blurred, session.errors, session.requests)
    return (
        not 0 <= session.saved_s < LATEST_S
        or min(counts) < 0
        or not all(figure == 0 or LEAST < figure < 1 / LEAST for figure in session.figures.values())
    )


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A session held against a history.

    Attributes:
        verdict: of all scenarios.
        reasons: why it is not PASS, and what head does less of, a sentence each.
        left_out: which past sessions did not count, and why, a sentence each.
        figures: what was compared.
        sessions: how many past ones counted, at the most in a scenario.
    """

    verdict: GateVerdict
    reasons: tuple[str, ...]
    left_out: tuple[str, ...]
    figures: tuple[BaselineComparison, ...]
    sessions: int


def judge(history: Sequence[Baseline], heads: Sequence[Baseline]) -> Judged:
    """Hold a session against the history, scenario by scenario.

    Past sessions under other conditions (another kernel, another rate), and those in which the harness was in
    the way, are left out and told; where none is left, nothing can be said.
    """
    reasons: list[str] = []
    left_out: list[str] = []
    found: list[BaselineComparison] = []
    unknown = failed = False
    sessions = 0
    for head in heads:
        past, others = _comparable([each for each in history if each.scenario == head.scenario], head)
        sessions = max(sessions, len(past))
        left_out += [f"{head.scenario}: {each}" for each in others]
        if said := past and fails_more(past, head):
            failed = True
            reasons.append(f"{head.scenario}: {said}")
        if in_the_way := obstacles(past, head):
            unknown = True
            reasons += [f"{head.scenario}: not comparable: {each}" for each in in_the_way]
            continue
        told = compare(past, head)
        found += told
        reasons += [f"{head.scenario}: {each}" for each in less_work(past, head)]
        reasons += [_reason(head.scenario, each) for each in told if each.call is not LookOutcome.PASS]
    calls = {each.call for each in found}
    if failed or LookOutcome.FAIL in calls:
        verdict = GateVerdict.FAIL
    elif unknown or not found:
        verdict = GateVerdict.UNKNOWN
    else:
        verdict = GateVerdict.INCONCLUSIVE if LookOutcome.INCONCLUSIVE in calls else GateVerdict.PASS
    return Judged(
        verdict=verdict,
        reasons=tuple(reasons),
        left_out=tuple(left_out),
        figures=tuple(found),
        sessions=sessions,
    )


def _comparable(history: Sequence[Baseline], head: Baseline) -> tuple[list[Baseline], list[str]]:
    """Return the past sessions that head can be held against, and why the others are left out."""
    clear = [each for each in history if each.blurred <= BLURRED_SHARE * each.blocks]
    past = [each for each in clear if not differences([each], head)]
    said = []
    if blurred := len(history) - len(clear):
        said.append(f"{blurred} of {len(history)} past sessions left out: the harness was in the way in them")
    if others := len(clear) - len(past):
        why = "; ".join(differences(clear, head))
        said.append(f"{others} of {len(history)} past sessions left out: {why}")
    return past, said


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
