"""The gate's run folder, judged again from its files, and the result that a report shows."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness import __version__
from harness.clock import FakeClock
from harness.commands.main import call
from harness.commands.progress import TerminalProgress
from harness.errors import ExitCode, InputError
from harness.gate.blocks import Block, Side
from harness.gate.decide import GateVerdict, decide
from harness.gate.folder import BLOCKS, PLAN, GatePlan, create, judge_saved
from harness.gate.result import scenario_result
from harness.gate.scenario import steady
from harness.gate.session import Gate, GateSettings
from harness.records.outcome import Outcome
from harness.run import folder as run_folder
from harness.run.folder import RunFolder
from tests.harness.gate.test_decide import blocks
from tests.harness.histories import Arm


def saved(path: Path, made: Sequence[Block], *, names: Sequence[str] = ("steady",)) -> RunFolder:
    """Make the folder of a run that saw some blocks, and a request of each side."""
    plan = GatePlan(
        started_s=0.0,
        labels={"base": "v1", "head": "v2"},
        conditions={name: {} for name in names},
        run_id="r1",
        version="0.0.1",
    )
    folder = create(path, plan)
    folder.append_rows(BLOCKS, made)
    for name in names:
        for side in Side:
            arm = Arm()
            arm.request()
            rows = [replace(row, experiment=name, arm=side) for row in arm.rows]
            folder.append_rows(run_folder.REQUESTS, rows)
            facts = replace(arm.data().facts, experiment=name, arm=side)
            folder.append_rows(run_folder.ARMS, [facts])
    return folder


@pytest.mark.parametrize(
    ("made", "verdict", "code"),
    [
        (blocks(), Outcome.PASS, ExitCode.HELD),
        (blocks(3, head=5.0), Outcome.FAIL, ExitCode.FELL_SHORT),
        (blocks(24, head=1.12, noise=0.3), Outcome.UNKNOWN, ExitCode.UNKNOWN),
    ],
)
def test_a_saved_run_is_judged_again_by_this_version(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    made: list[Block],
    verdict: Outcome,
    code: ExitCode,
) -> None:
    folder = saved(tmp_path / "run", made)
    assert call(["judge", str(folder.path), "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == verdict
    assert told["version"] == __version__
    assert not (folder.path / "report.html").exists()
    assert call(["report", str(folder.path)]) == ExitCode.HELD
    assert (folder.path / "report.html").exists()


def test_pairs_after_the_last_look_do_not_count(tmp_path: Path) -> None:
    made = blocks(24, head=1.3)
    cut = [block for block in made if block.pair <= 9]
    _, decision, _ = judge_saved(saved(tmp_path / "run", cut).path)
    assert decision.pairs == 8


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (blocks(2), "has 2 complete pairs, and the first look is after 3"),
        ([each for each in blocks() if each.side is Side.HEAD], "has 0 complete pairs"),
        ([*blocks(), *blocks()], "holds several decisions"),
        (
            [*blocks(), *blocks(scenario="another")[:5]],
            "has blocks of another, which gate.json says nothing of",
        ),
    ],
)
def test_what_is_no_decision_is_refused(tmp_path: Path, made: list[Block], said: str) -> None:
    with pytest.raises(InputError, match=said):
        judge_saved(saved(tmp_path / "run", made).path)


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "run", blocks())
    with pytest.raises(InputError, match="holds a run already"):
        saved(tmp_path / "run", blocks())


def test_a_scenario_has_its_own_checks_whatever_the_others_are_called(tmp_path: Path) -> None:
    slow = blocks(8, head=5.0, scenario="steady-slow")
    small = blocks(8, requests=200, scenario="steady")
    folder = saved(tmp_path / "run", [*slow, *small], names=("steady", "steady-slow"))
    result, decision, _ = judge_saved(folder.path)
    assert decision.verdict is GateVerdict.FAIL
    steady, other = result.experiments
    assert (steady.verdict, other.verdict) == (Outcome.UNKNOWN, Outcome.FAIL)
    assert {each.verdict for each in steady.checks} <= {Outcome.UNKNOWN, Outcome.PASS}
    assert {each.id for each in steady.checks if each.verdict is Outcome.UNKNOWN} >= {"guard"}


def test_a_guard_is_told_as_one_beside_what_failed() -> None:
    decision = decide(blocks(3, head=12.0, full_pairs=3))
    histories = {side: Arm().history() for side in Side}
    result = scenario_result("steady", decision, histories, labels={side: side for side in Side}).result
    assert result.verdict is Outcome.FAIL
    failed = [each.id for each in result.checks if each.verdict is Outcome.FAIL]
    (guard,) = [each for each in result.checks if each.id == "guard"]
    assert failed == ["p99"]
    assert guard.verdict is Outcome.UNKNOWN
    assert "head filled the machine" in guard.message


def test_errors_are_told_in_requests() -> None:
    decision = decide(blocks(8, head_errors=100))
    histories = {side: Arm().history() for side in Side}
    result = scenario_result("steady", decision, histories, labels={side: side for side in Side}).result
    (errors,) = [each for each in result.checks if each.verdict is Outcome.FAIL]
    assert errors.id == "requests-per-success"
    assert "head failed 800 of 4000 requests (20.0%), base 0 of 4000 (0.0%)" in errors.message


@pytest.mark.parametrize("write", [False, True])
def test_a_plan_that_names_no_version_is_judged_all_the_same(tmp_path: Path, *, write: bool) -> None:
    plan = saved(tmp_path / "run", blocks()).path / "gate.json"
    plan.write_text(plan.read_text("utf-8").replace('"base": "v1"', '"bese": "v1"'), "utf-8")
    result, _, _ = judge_saved(tmp_path / "run", write=write)
    assert result.verdict is Outcome.PASS


@pytest.mark.parametrize(
    "damage", [{"looks": []}, {"looks": [0]}, {"looks": [-3, 8]}, {"looks": [8, 3]}, {"conditions": {}}]
)
def test_a_plan_without_looks_or_scenarios_is_damaged(tmp_path: Path, damage: dict[str, object]) -> None:
    folder = saved(tmp_path / "run", blocks())
    file = folder.path / PLAN
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | damage), "utf-8")
    with pytest.raises(InputError, match="is damaged"):
        judge_saved(folder.path)


@pytest.mark.parametrize(
    "damage",
    [
        {"figures": {"p99": math.inf}},
        {"figures": {"p99": 1e308}},
        {"figures": {"rss": -1.0}},
        {"lateness_p99_ms": math.nan},
        {"cpu_utilisation": math.nan},
        {"errors": -1},
        {"pair": 0},
    ],
)
def test_a_block_that_can_t_be_is_damaged(tmp_path: Path, damage: dict[str, Any]) -> None:
    made = blocks()
    made[5] = replace(made[5], **damage)
    with pytest.raises(InputError, match="has figures that can't be"):
        judge_saved(saved(tmp_path / "run", made).path)


def test_blocks_of_which_nothing_can_be_compared_are_not_green() -> None:
    assert decide([replace(block, figures={}) for block in blocks()]).verdict is GateVerdict.UNKNOWN


def test_a_scenario_that_is_asked_for_twice_is_refused_before_anything_starts(tmp_path: Path) -> None:
    clock = FakeClock()
    progress = TerminalProgress(Console(quiet=True), clock.monotonic)
    with pytest.raises(InputError, match="steady: is asked for 2 times"):
        Gate({}, [steady(), steady()], GateSettings(out=tmp_path / "run"), progress, clock)
    assert not (tmp_path / "run").exists()
