"""A saved run, judged again from its files: also when some of its rows are gone."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.clock import FakeClock
from harness.commands.progress import TerminalProgress
from harness.errors import InputError
from harness.records.outcome import Outcome
from harness.records.setup import ArmFacts
from harness.records.spec import ArmSpec, CheckSpec, ExperimentSpec
from harness.run import folder as run_folder
from harness.run.folder import Plan, RunFolder
from harness.run.pipeline import RunSettings, judge_saved, run
from tests.harness.histories import Arm

SPEC = ExperimentSpec(
    name="experiment",
    title="Small",
    claim="it answers",
    min_requests=20,
    arms={"arm": ArmSpec(title="good"), "control": ArmSpec(title="refuses now and then", control=True)},
    checks=(CheckSpec(id="no-errors", holds_in=("arm",), caught_in=("control",)),),
)


def saved(path: Path) -> Path:
    """Save a run of 463 requests in an arm that answers all of them, and in one that does not."""
    folder = RunFolder.create(path, "run")
    plan = Plan(run_id="run", started_s=1.0, quick=True, version="0", machine={}, experiments=(SPEC,))
    folder.write_plan(plan)
    for name, failing in (("arm", 0), ("control", 9)):
        arm = Arm()
        for number in range(463):
            status, error = (500, "failed") if number < failing else (200, None)
            arm.request(due_s=float(number), status=status, error=error, calls=[])
            arm.change(arm=name)
        arm.set(arm=name, control=name == "control")
        data = arm.data()
        folder.append_rows(run_folder.REQUESTS, data.requests)
        folder.append_rows(run_folder.ARMS, [data.facts])
    return path


def test_a_saved_run_is_judged_as_it_was(tmp_path: Path) -> None:
    result, _ = judge_saved(saved(tmp_path / "run"))
    assert [check.verdict for check in result.experiments[0].checks] == [Outcome.PASS, Outcome.PASS]
    assert result.verdict is Outcome.PASS


def test_a_run_is_only_read_unless_its_report_is_asked_for(tmp_path: Path) -> None:
    folder = saved(tmp_path / "run")
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    judge_saved(folder)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before
    judge_saved(folder, write=True)
    assert (folder / "report.html").exists()


@pytest.mark.parametrize("lost", [1, 116])
@pytest.mark.parametrize("of", ["arm", "control"])
def test_one_that_lost_rows_is_never_green(tmp_path: Path, of: str, lost: int) -> None:
    rows = saved(tmp_path / "run") / run_folder.REQUESTS
    lines = rows.read_text("utf-8").splitlines(keepends=True)
    gone = [line for line in lines if f'"arm":"{of}"' in line][100 : 100 + lost]
    rows.write_text("".join(line for line in lines if line not in gone), "utf-8")
    result, _ = judge_saved(tmp_path / "run")
    assert result.verdict is Outcome.UNKNOWN
    check = next(check for check in result.experiments[0].checks if check.arm == of)
    assert f"{lost} of 463 requests have no row" in check.message


def test_a_run_that_says_in_two_ways_how_an_arm_was_set_up_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(saved(tmp_path / "run"))
    (facts, control) = folder.rows(run_folder.ARMS, ArmFacts)
    folder.append_rows(run_folder.ARMS, [control])  # what is there twice, the same, counts once
    assert judge_saved(folder.path)[0].verdict is Outcome.PASS
    folder.append_rows(run_folder.ARMS, [replace(facts, planned=400)])
    with pytest.raises(InputError, match="says in two ways how arm of experiment was set up"):
        judge_saved(folder.path)


def test_two_experiments_of_one_name_are_refused_before_anything_starts(tmp_path: Path) -> None:
    clock = FakeClock()
    progress = TerminalProgress(Console(quiet=True), clock.monotonic)
    with pytest.raises(InputError, match="experiment: 2 experiments are called so"):
        run([SPEC, SPEC], RunSettings(out=tmp_path / "run"), progress, clock)
    assert not (tmp_path / "run").exists()
