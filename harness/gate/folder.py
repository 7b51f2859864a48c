"""The gate's run folder: `gate.json` says what was asked, `blocks.jsonl` has a line per block.

It is judged once the fleets are down, and again from its files alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from harness import __version__
from harness.analysis.join import join
from harness.errors import InputError
from harness.gate.blocks import AT_LIMIT, Block, Side
from harness.gate.comment import Told, to_comment
from harness.gate.decide import GateDecision, decide
from harness.gate.ending import of_decision
from harness.gate.marker import PLAN, is_gate
from harness.gate.result import outcome, scenario_result
from harness.gate.statistics import LOOKS
from harness.gate.tolerances import parse_tolerances
from harness.outside.files import read_bytes
from harness.records.history import ArmData
from harness.records.outcome import RunResult
from harness.report.jaeger_page import page_of
from harness.run.folder import RunFolder
from harness.run.formats import UNSAID, refuse_other_formats, whose_it_is
from harness.run.pipeline import read_arms, write_reports

BLOCKS: Final = "blocks.jsonl"
LEAST: Final = 1e-99
"""No figure but 0 is smaller, nor any larger than its inverse: what is has been damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePlan:
    """What a gate's run folder says of itself: `gate.json`.

    Attributes:
        started_s: Unix time.
        labels: of base and head.
        conditions: by scenario, what must be the same for its figures to be comparable with another run's.
        run_id: names the run.
        format: of the folder's files: see `run/formats.py`.
        version: of agentrig, that measured.
        looks: pairs after which it was looked.
        again: the command that does the same.
        jaeger_url: address of the Jaeger page that has the traces, where there is one.
        tolerances: as they were typed, in place of the usual ones.
        requests: of a block, that count.
    """

    started_s: float
    labels: Mapping[str, str]
    conditions: Mapping[str, Mapping[str, str]]
    run_id: str = ""
    format: int = UNSAID
    version: str = ""
    looks: tuple[int, ...] = LOOKS
    again: str | None = None
    jaeger_url: str | None = None
    tolerances: tuple[str, ...] = ()
    requests: int | None = None


def create(path: Path, plan: GatePlan) -> RunFolder:
    """Make the run folder of a gate, and write its plan.

    Raises:
        InputError: it holds a run already.
        StartError: it cannot be made or written to.
    """
    folder = RunFolder.create(path, plan.run_id)
    if is_gate(path):
        raise InputError(f"{path}: holds a run already. Give another --out, or delete that folder.")
    write_plan(folder, plan)
    return folder


def write_plan(folder: RunFolder, plan: GatePlan) -> None:
    """Write what is asked; anew where the machine has changed it.

    Raises:
        StartError: it can't be written.
    """
    folder.write(PLAN, json.dumps(asdict(plan), indent=2) + "\n")


def read_plan(path: Path) -> GatePlan:
    """Read what was asked.

    Raises:
        InputError: the folder is none of the gate's, or the file is damaged.
    """
    file = path / PLAN
    try:
        text = read_bytes(file)
    except OSError as error:
        raise InputError(
            f"{path}: is not a run folder of the gate: {PLAN} cannot be read ({error.strerror}). "
            "Give one that `agentrig gate --out` wrote, or none, to measure anew."
        ) from error
    refuse_other_formats(text, file)
    try:
        plan: GatePlan = TypeAdapter(GatePlan).validate_json(text)
    except ValidationError as error:
        raise InputError(f"{file}: is damaged: {error.errors()[0]['msg']}{whose_it_is(text)}") from error
    in_order = all(one < other for one, other in pairwise((0, *plan.looks)))
    if not (plan.conditions and plan.looks and in_order):
        raise InputError(f"{file}: is damaged: it names no scenario, or no looks that follow on each other")
    return plan


def conclude(
    folder: RunFolder | None,
    plan: GatePlan,
    decision: GateDecision,
    arms: Mapping[tuple[str, str], ArmData],
    *,
    duration_s: float,
) -> RunResult:
    """Write the verdict in each of its forms.

    Args:
        folder: that gets it; None for none.
        plan: what was asked.
        decision: on all scenarios.
        arms: what was seen, by scenario and side.
        duration_s: how long it took.
    """
    labels = {side: plan.labels.get(side, side) for side in Side}
    scenarios = [
        scenario_result(
            name,
            decision,
            {side: join(arms[name, side]) for side in Side},
            labels=labels,
        )
        for name in plan.conditions
    ]
    whole = RunResult(
        run_id=plan.run_id,
        verdict=outcome(decision.verdict),
        started_s=plan.started_s,
        duration_s=duration_s,
        quick=False,
        experiments=tuple(each.result for each in scenarios),
        version=__version__,
        jaeger_url=plan.jaeger_url,
        again=plan.again,
    )
    if folder is not None:
        told = Told(
            labels={side.value: label for side, label in labels.items()},
            again=plan.again,
            requests=plan.requests,
            took_s=duration_s,
            version=__version__,
            looks=plan.looks,
            page=page_of(whole),
        )
        pictures = {arm: drawn for each in scenarios for arm, drawn in each.drawn.items()}
        write_reports(whole, pictures, folder, markdown=to_comment(decision, scenarios, told))
        of_decision(decision).write(folder.path)
    return whole


def judge_saved(path: Path, *, write: bool = False) -> tuple[RunResult, GateDecision, RunFolder]:
    """Judge a saved run of the gate again, by the rules of this version and from its files alone.

    Args:
        path: the run folder.
        write: whether to write the verdict and the report anew; else nothing of the folder is touched.

    Raises:
        InputError: it is none, a file of it is damaged, or it ended before its first look.
    """
    plan, folder = read_plan(path), RunFolder(path)
    blocks = _looked_at(path, plan, folder.rows(BLOCKS, Block))
    decision = decide(blocks, plan.looks, parse_tolerances(plan.tolerances))
    arms = {key: _counted(data) for key, data in read_arms(folder).items()}
    if lacking := [
        f"{side} of {name}" for name in plan.conditions for side in Side if (name, side) not in arms
    ]:
        raise InputError(f"{path}: has no spans of {', '.join(lacking)}: the run ended before. Run it again.")
    ended_s = max(data.facts.end_s for data in arms.values())
    duration_s = ended_s - plan.started_s
    result = conclude(folder if write else None, plan, decision, arms, duration_s=duration_s)
    return result, decision, folder


def _looked_at(path: Path, plan: GatePlan, blocks: tuple[Block, ...]) -> list[Block]:
    """Return the blocks of complete pairs, up to the last look that there was."""
    if (wrong := next(filter(_cannot_be, blocks), None)) is not None:
        raise InputError(
            f"{path / BLOCKS}: is damaged: pair {wrong.pair} of {wrong.scenario} has figures that can't be"
        )
    each = Counter((block.scenario, block.pair, block.side) for block in blocks)
    if each and max(each.values()) > 1:
        raise InputError(f"{path}: holds several decisions (`--self-check`), which can't be judged as one.")
    names = list(plan.conditions)
    if others := sorted({block.scenario for block in blocks} - set(names)):
        raise InputError(f"{path / BLOCKS}: has blocks of {', '.join(others)}, which {PLAN} says nothing of")
    complete = 0
    while all(each[name, complete + 1, side] for name in names for side in Side):
        complete += 1
    after = max((look for look in plan.looks if look <= complete), default=0)
    if not after:
        raise InputError(
            f"{path}: has {complete} complete pairs, and the first look is after {plan.looks[0]}: the run "
            "ended before. Run it again."
        )
    return [block for block in blocks if block.pair <= after]


def _cannot_be(block: Block) -> bool:
    """Whether a figure of a block is no number, or counts less than nothing."""
    counts = (block.requests, block.errors, block.successes, block.lost, block.refused, block.pair - 1)
    return (
        not all(figure == 0 or LEAST < figure < 1 / LEAST for figure in block.figures.values())
        or not (isfinite(block.lateness_p99_ms) and isfinite(block.cpu_utilisation))
        or min(counts) < 0
    )


def _counted(data: ArmData) -> ArmData:
    """Return an arm without its warm-up and without the requests that came all at once."""
    rows = tuple(row for row in data.requests if row.phase != AT_LIMIT)
    traces = {row.trace_id for row in rows}
    return replace(data, requests=rows, spans=tuple(span for span in data.spans if span.trace_id in traces))
