"""What a night's rounds prove together: a turn that is wrong counts, whatever else of its round is known."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from harness.errors import StartError
from harness.experiment.load import load
from harness.records.outcome import CheckResult, ExperimentResult, Outcome, RunResult
from harness.records.spec import ExperimentSpec
from harness.run import folder as run_folder
from harness.run import pipeline
from harness.run.folder import Plan, RunFolder
from harness.run.pipeline import RunSettings
from tests.harness.histories import Arm
from tests.proof import night
from tests.proof.night import (
    ARM,
    CHECKS,
    CONTROL,
    CONTROLLED,
    FILE,
    KILLS,
    Round,
    control_due,
    ends_with,
    enough,
    free_folder,
    goes_on,
    one_round,
    told,
)

ROUND = Round(
    seed=1,
    kills=20,
    failovers=4,
    at_work=15,
    answers=400,
    failed=3,
    wrong=dict.fromkeys(CHECKS, 0.0),
    cases=dict.fromkeys(CHECKS, 300),
)
CAUGHT = replace(ROUND, caught=dict.fromkeys(CONTROLLED, True))
ESCAPED = replace(ROUND, caught={**CAUGHT.caught, "no-leak": False})
UNSEEN = replace(ROUND, caught=dict.fromkeys(CONTROLLED, None))
LATE = replace(ROUND, wrong={**ROUND.wrong, "no-leak": None})


def test_rounds_without_a_fault_bound_its_share() -> None:
    said = told([CAUGHT, ROUND])
    assert "2 rounds: 40 kills, 8 failovers" in said
    assert "turns-kept: 0 of 600 wrong, so at most 0.50% with 95 %" in said
    assert "0 of 30 that met a container at work, so at most 10.00% with 95 %" in said
    assert "0 of 8, so at most 37.50% with 95 %" in said
    assert ends_with([CAUGHT, ROUND], kills=40, failovers=8) == 0


def test_a_round_of_which_something_is_not_known_counts_for_nothing_good() -> None:
    assert "1 rounds: 20 kills" in told([CAUGHT, LATE])
    assert not enough([CAUGHT, LATE], kills=40, failovers=8)
    assert ends_with([CAUGHT, LATE], kills=40, failovers=8) == 2
    assert enough([CAUGHT, ROUND], kills=40, failovers=8)


def test_what_is_known_to_be_wrong_in_such_a_round_is_told() -> None:
    late = replace(LATE, wrong={**LATE.wrong, "turns-kept": 2.0})
    said = told([CAUGHT, late])
    (kept,) = (line for line in said.splitlines() if "turns-kept:" in line)
    assert "2 of 300 wrong" in kept
    assert "at most" not in kept
    assert "harmed a turn" not in said
    assert ends_with([CAUGHT, late], kills=20, failovers=4) == 1


# --- the control arm -------------------------------------------------------------------
def test_the_control_runs_in_the_first_round_and_in_each_tenth_after_it() -> None:
    done: list[Round] = []
    for number in range(31):
        due = control_due(done)
        assert due == (number in {0, 10, 20, 30})
        done.append(CAUGHT if due else ROUND)


def test_a_control_that_could_not_be_judged_runs_again_in_the_next_round() -> None:
    done = [CAUGHT, *[ROUND] * 9, UNSEEN]
    assert control_due(done)
    assert not control_due([*done, CAUGHT])
    assert "caught in 1 by" in told(done)
    assert "not judged in 1" in told(done)


def test_nothing_is_proved_where_no_control_was_judged() -> None:
    for done in ([ROUND, ROUND], [UNSEEN, ROUND], []):
        said = told(done)
        assert "Not proved: it was judged in none" in said
        assert "at most" not in said
        assert ends_with(done, kills=0, failovers=0) == 2
        assert goes_on(done, kills=0, failovers=0)


@pytest.mark.parametrize(
    "done",
    [
        [ESCAPED],
        [CAUGHT, ESCAPED, CAUGHT],
        [CAUGHT, replace(CAUGHT, caught={**UNSEEN.caught, "turns-kept": False})],
    ],
)
def test_a_control_that_was_not_caught_ends_the_night_and_nothing_is_proved(done: list[Round]) -> None:
    said = told(done)
    assert "did not catch it" in said
    assert "at most" not in said
    assert ends_with(done, kills=0, failovers=0) == 2
    assert not goes_on(done, kills=1000, failovers=200)
    assert ends_with([*done, replace(ROUND, wrong=dict.fromkeys(CHECKS, 1.0))], kills=0, failovers=0) == 1


# --- one round -------------------------------------------------------------------------
def test_the_control_arm_is_there_to_be_caught_by_what_is_proved() -> None:
    spec = load(str(FILE), pipeline.known())
    assert {check.id for check in spec.checks if CONTROL in check.caught_in} == set(CONTROLLED)
    assert {check.id for check in spec.checks if ARM in check.holds_in} >= {*CHECKS, KILLS}
    assert RunSettings().run_of(spec) == [ARM, CONTROL]
    assert RunSettings(arms={ARM}).run_of(spec) == [ARM]


def test_what_a_round_saw_is_what_its_verdict_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {
        ("turns-kept", ARM): (Outcome.PASS, 0.0),
        ("success-kept", ARM): (Outcome.FAIL, 2.0),
        ("no-leak", ARM): (Outcome.UNKNOWN, 0.0),
        ("kills-done", ARM): (Outcome.UNKNOWN, 7.0),
        ("turns-kept", CONTROL): (Outcome.PASS, 5.0),
        ("no-leak", CONTROL): (Outcome.FAIL, 0.0),
    }
    monkeypatch.setattr(pipeline, "run", ran(made))
    what = one_round(4, tmp_path / "round-4", control=True)
    assert (what.seed, what.answers, what.failed, what.at_work) == (4, 2, 1, 7)
    assert what.wrong == {"turns-kept": 0.0, "success-kept": 2.0, "no-leak": None}
    assert what.caught == {"turns-kept": True, "no-leak": False}
    assert what.said == "no-leak in reference: told; no-leak in shared-agent: told"
    assert RunFolder.open(tmp_path / "round-4").plan().experiments[0].arms.keys() == {ARM, CONTROL}


def test_a_round_without_its_control_is_told_of_the_arm_under_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of its folder, judged again, the control is unknown: nobody takes it for caught."""
    made = {(name, ARM): (Outcome.PASS, 0.0) for name in (*CHECKS, KILLS)}
    missing = {(name, CONTROL): (Outcome.UNKNOWN, 0.0) for name in CONTROLLED}
    monkeypatch.setattr(pipeline, "run", ran(made | missing))
    what = one_round(4, tmp_path / "round-4", control=False)
    assert what.counts
    assert what.caught == {}
    assert what.said == ""
    judged, _ = pipeline.judge_saved(tmp_path / "round-4")
    (control,) = {check.verdict for check in judged.experiments[0].checks if check.control}
    assert control is Outcome.UNKNOWN


def test_a_round_that_was_cut_short_counts_for_nothing_and_the_night_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> object:
        raise StartError("agent-3 stands still")

    monkeypatch.setattr(pipeline, "run", run)
    what = one_round(4, tmp_path / "round-4", control=False)
    assert not what.counts
    assert what.said == "it was cut short: agent-3 stands still"


def ran(made: Mapping[tuple[str, str], tuple[Outcome, float]]) -> Callable[..., tuple[RunResult, RunFolder]]:
    """Return what runs no fleet: it writes what was asked, and three requests, and gives that verdict."""

    def run(
        specs: Sequence[ExperimentSpec], settings: RunSettings, *_: object
    ) -> tuple[RunResult, RunFolder]:
        (spec,) = specs
        assert {(check.id, arm) for check in spec.checks for arm in (*check.holds_in, *check.caught_in)} == {
            *made
        }
        folder = RunFolder.create(settings.out, "round")
        folder.write_plan(
            Plan(run_id="round", started_s=1.0, quick=False, version="0", machine={}, experiments=(spec,))
        )
        for name in settings.run_of(spec):
            arm = Arm()
            for status in (200, 200, 503):
                arm.request(status=status, calls=[])
                arm.change(experiment=spec.name, arm=name)
            arm.set(experiment=spec.name, arm=name, control=name == CONTROL)
            folder.append_rows(run_folder.REQUESTS, arm.data().requests)
            folder.append_rows(run_folder.ARMS, [arm.data().facts])
        checks = tuple(
            CheckResult(
                id=name,
                arm=of,
                control=of == CONTROL,
                verdict=verdict,
                observed=observed,
                limit=0.0,
                unit="{turn}",
                message="told",
                cases=30,
            )
            for (name, of), (verdict, observed) in made.items()
        )
        result = ExperimentResult(
            name=spec.name, title="", claim="", verdict=Outcome.UNKNOWN, arms={}, checks=checks
        )
        return (
            RunResult(
                run_id="round",
                verdict=Outcome.UNKNOWN,
                started_s=1.0,
                duration_s=1.0,
                quick=False,
                experiments=(result,),
            ),
            folder,
        )

    return run


def test_a_folder_of_a_round_that_was_cut_short_is_left_as_it_is(tmp_path: Path) -> None:
    assert free_folder(tmp_path, 3).name == "round-3"
    (tmp_path / "round-3").mkdir()
    (tmp_path / "round-3.2").mkdir()
    assert free_folder(tmp_path, 3).name == "round-3.3"


def test_rounds_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "rounds.jsonl"
    assert night.read(file) == []
    file.write_text("".join(json.dumps(asdict(each)) + "\n" for each in (CAUGHT, LATE)))
    assert night.read(file) == [CAUGHT, LATE]


def test_a_line_that_was_cut_short_is_no_round_and_spoils_none(tmp_path: Path) -> None:
    file = tmp_path / "rounds.jsonl"
    night.add(file, CAUGHT)
    with file.open("ab") as rounds:
        rounds.write(json.dumps(asdict(ROUND)).encode()[:40] + b"\xc3")
    assert night.read(file) == [CAUGHT]
    night.add(file, LATE)
    night.add(file, ROUND)
    assert night.read(file) == [CAUGHT, LATE, ROUND]


@pytest.mark.parametrize(("cases", "said"), [(2, "100.00%"), (20_100, "0.02%"), (10**6, "0.01%")])
def test_a_bound_is_never_rounded_down_and_never_more_than_all(cases: int, said: str) -> None:
    made = replace(CAUGHT, cases=dict.fromkeys(CHECKS, cases))
    assert f"0 of {cases} wrong, so at most {said} with" in told([made])
