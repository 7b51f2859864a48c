"""How a gate ended, for programs and for a pull request: told at each end."""

import json
from pathlib import Path

import pytest

from harness.commands.main import Interrupted
from harness.errors import ExitCode, InputError, StartError
from harness.gate.decide import decide
from harness.gate.ending import (
    OUTCOME,
    SUMMARY,
    Ending,
    SideError,
    of_decision,
    read_ending,
    told_at_every_end,
)
from tests.harness.gate.test_decide import blocks


@pytest.mark.parametrize(
    ("error", "code", "side"),
    [
        (InputError("--base v9: is no commit"), ExitCode.BAD_INPUT, None),
        (StartError("a port is taken"), ExitCode.NOT_STARTED, None),
        (SideError("base", "base (v1) did not start: it ended"), ExitCode.NOT_STARTED, "base"),
        (ZeroDivisionError("none"), ExitCode.OWN_FAULT, None),
        (Interrupted(), ExitCode.INTERRUPTED, None),
    ],
)
def test_an_end_without_a_verdict_is_written(
    tmp_path: Path, error: BaseException, code: ExitCode, side: str | None
) -> None:
    folder = tmp_path / "deep" / "gate"
    with pytest.raises(type(error)), told_at_every_end(folder, "agentrig gate --base v1"):
        raise error
    ending = read_ending(folder)
    assert (ending.exit_code, ending.side) == (code, side)
    assert ending.title.startswith("no verdict")
    summary = (folder / SUMMARY).read_text("utf-8")
    assert summary.startswith("## 🚫 agentrig gate: no verdict")
    assert "Again: `agentrig gate --base v1`" in summary


def test_a_folder_of_another_run_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / SUMMARY).write_text("another's")
    with pytest.raises(InputError), told_at_every_end(tmp_path, "x"):
        raise InputError("holds a run already")
    assert (tmp_path / SUMMARY).read_text() == "another's"
    assert not (tmp_path / OUTCOME).exists()


def test_what_went_well_writes_nothing_of_a_failure(tmp_path: Path) -> None:
    with told_at_every_end(tmp_path / "gate", "x"):
        pass
    assert not (tmp_path / "gate").exists()


def test_a_decision_is_read_back(tmp_path: Path) -> None:
    ending = of_decision(decide(blocks(8, head_errors=100)))
    ending.write(tmp_path)
    assert read_ending(tmp_path) == ending
    assert ending.exit_code == ExitCode.FELL_SHORT
    assert json.loads((tmp_path / OUTCOME).read_text("utf-8"))["reasons"][0].startswith("steady: head failed")


def test_a_folder_without_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="writes it at each end"):
        read_ending(tmp_path)


def test_one_of_a_format_that_is_not_read_here_is_refused_and_an_older_one_is_read(tmp_path: Path) -> None:
    told = {"exit_code": 0, "title": "head is not worse", "reasons": [], "side": None}
    (tmp_path / OUTCOME).write_text(json.dumps(told), "utf-8")
    assert read_ending(tmp_path).exit_code == ExitCode.HELD
    (tmp_path / OUTCOME).write_text(json.dumps(told | {"format": 99}), "utf-8")
    with pytest.raises(InputError, match=r"outcome\.json: is of format 99"):
        read_ending(tmp_path)


def test_an_ending_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be written"):
        Ending(exit_code=0, title="x").write(tmp_path / "none")
