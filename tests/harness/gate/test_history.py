"""The history file of past sessions, and the verdict on a session held against it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.commands.main import call
from harness.errors import ExitCode, InputError
from harness.gate import history as baselines
from harness.gate.blocks import ANSWER, CALLS, Side
from harness.gate.decide import GateVerdict
from tests.harness.gate.test_baseline import block, session

CALM = [session(each) for each in (100.0, 101.0, 99.0, 100.5, 99.5, 100.0)]


def test_sessions_are_added_to_a_history_and_come_back(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "history.jsonl"
    assert baselines.read(file) == []
    baselines.add(file, CALM[:2])
    baselines.add(file, CALM[2:])
    assert baselines.read(file) == CALM


def test_a_damaged_history_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    baselines.add(file, CALM[:1])
    file.write_text(file.read_text("utf-8") + "{}\n", "utf-8")
    with pytest.raises(InputError, match=r"history\.jsonl:2: "):
        baselines.read(file)


def test_a_history_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written to"):
        baselines.add(tmp_path, CALM)


@pytest.mark.parametrize(
    ("head", "verdict", "said"),
    [
        (session(101.0), GateVerdict.PASS, None),
        (session(150.0), GateVerdict.FAIL, "p99 is 1.50 times the past sessions' (at least"),
        (replace(session(100.0), errors=480), GateVerdict.FAIL, "head failed 480 of 4800"),
        (session(100.0, machine="64 cores"), GateVerdict.UNKNOWN, "machine was 2 cores in v1"),
        (replace(session(100.0), scenario="other"), GateVerdict.UNKNOWN, "no session of it"),
        (session(117.0), GateVerdict.FAIL, "p99 is 1.17"),
    ],
)
def test_a_session_is_held_against_the_history(
    head: baselines.Baseline, verdict: GateVerdict, said: str | None
) -> None:
    judged = baselines.judge(CALM, [head])
    assert judged.verdict is verdict
    assert (not judged.reasons) if said is None else said in " ".join((*judged.reasons, *judged.left_out))


def test_a_short_history_says_what_it_cannot_tell() -> None:
    judged = baselines.judge(CALM[:1], [session(110.0)])
    assert judged.verdict is GateVerdict.INCONCLUSIVE
    assert "which may be chance: below 1." in judged.reasons[0]


def test_past_sessions_with_the_harness_in_the_way_do_not_count() -> None:
    blurred = [replace(each, blurred=16) for each in CALM]
    judged = baselines.judge(blurred, [session(100.0)])
    assert judged.verdict is GateVerdict.UNKNOWN
    assert judged.left_out == ("steady: 6 of 6 past sessions left out: the harness was in the way in them",)


def test_one_past_session_under_other_conditions_does_not_poison_the_history() -> None:
    other = session(900.0, machine="Linux-6.1.1")
    judged = baselines.judge([*CALM, other], [session(101.0)])
    assert judged.verdict is GateVerdict.PASS
    assert judged.sessions == len(CALM)
    assert judged.left_out == (
        "steady: 1 of 7 past sessions left out: machine was Linux-6.1.1 in v1, and is 2 cores now",
    )
    assert baselines.judge([*CALM, other], [session(150.0)]).verdict is GateVerdict.FAIL


@pytest.mark.parametrize(
    ("figures", "verdict", "said"),
    [
        (
            {CALLS.name: 1.0},
            GateVerdict.PASS,
            "does less: model calls per request 1 against the past sessions' 2",
        ),
        ({ANSWER.name: 50.0}, GateVerdict.PASS, "does less: answer length 50 against the past sessions' 60"),
        (
            {ANSWER.name: 20.0},
            GateVerdict.UNKNOWN,
            "answer length 20 against the past sessions' 60: these are",
        ),
    ],
)
def test_a_head_that_does_less_than_past_sessions_is_told_so(
    figures: dict[str, float], verdict: GateVerdict, said: str
) -> None:
    work = {CALLS.name: 2.0, ANSWER.name: 60.0}
    past = [replace(each, figures={**each.figures, **work}) for each in CALM]
    head = replace(past[0], figures={**past[0].figures, **figures})
    judged = baselines.judge(past, [head])
    assert judged.verdict is verdict
    assert said in judged.reasons[0]
    assert baselines.judge(past, [past[0]]).reasons == ()


def test_nothing_measured_is_never_green() -> None:
    assert baselines.judge(CALM, []).verdict is GateVerdict.UNKNOWN


def saved_run(folder: Path) -> Path:
    plan = {
        "started_s": 1_700_000_000.0,
        "labels": {"head": "v2", "base": "v1"},
        "conditions": {"steady": {"machine": "2 cores"}},
    }
    (folder / "gate.json").write_text(json.dumps(plan), "utf-8")
    rows = [block("steady", p99=100.0), replace(block("steady", p99=900.0), side=Side.BASE)]
    lines = [baselines.TypeAdapter(type(row)).dump_json(row).decode() for row in rows]
    (folder / "blocks.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_a_saved_run_of_the_gate_gives_heads_session(tmp_path: Path) -> None:
    (saved,) = baselines.of_run(saved_run(tmp_path))
    assert (saved.label, saved.scenario, saved.figures) == ("v2", "steady", {"p99": 100.0})


def test_a_folder_that_is_no_run_of_the_gate_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run folder of the gate"):
        baselines.of_run(tmp_path)


def test_a_run_that_ended_before_its_first_pair_is_no_session(tmp_path: Path) -> None:
    (saved_run(tmp_path) / "blocks.jsonl").write_text("", "utf-8")
    with pytest.raises(InputError, match="no complete block of head"):
        baselines.of_run(tmp_path)


def test_a_scenario_of_the_plan_that_no_block_is_of_is_said(tmp_path: Path) -> None:
    plan = saved_run(tmp_path) / "gate.json"
    plan.write_text(plan.read_text("utf-8").replace("steady", "staady"), "utf-8")
    with pytest.raises(InputError, match="has no block of staady"):
        baselines.of_run(tmp_path)


def test_a_history_is_a_table_too() -> None:
    later = replace(session(120.0), saved_s=86_400.0)
    head, first, second = baselines.to_csv([later, CALM[0]]).splitlines()
    assert head.startswith("time,scenario,version,p99_ms,p50_ms,")
    assert first.startswith("1970-01-01T00:00:00+00:00,steady,v1,100,,")
    assert second.startswith("1970-01-02T00:00:00+00:00,steady,v1,120,,")


def test_the_comparison_is_told_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = tmp_path / "history.jsonl"
    baselines.add(history, CALM)
    code = call(["baseline", "compare", str(history), "--run", str(saved_run(tmp_path)), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == ExitCode.UNKNOWN
    assert told["verdict"] == "unknown"
    assert "not comparable" in told["reasons"][0]


@pytest.mark.parametrize(
    "odd",
    [
        {"saved_s": 1e300},
        {"saved_s": float("nan")},
        {"saved_s": -1.0},
        {"figures": {"p99": float("inf")}},
        {"figures": {"p99": -1.0}},
        {"blocks": 0},
        {"errors": -1},
    ],
)
def test_a_session_that_can_not_be_is_damaged_for_whoever_reads_the_history(
    tmp_path: Path, odd: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "history.jsonl"
    baselines.add(file, CALM)
    line = json.loads(file.read_text("utf-8").splitlines()[0]) | odd
    with file.open("a", encoding="utf-8") as history:
        history.write(json.dumps(line) + "\n")
    for words in (["trend", str(file), "--out", str(tmp_path / "x.html")], ["csv", str(file)]):
        assert call(["baseline", *words]) == ExitCode.BAD_INPUT
        assert "is damaged: session 7 has figures that can't be" in capsys.readouterr().err
