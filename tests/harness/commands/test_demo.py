"""`agentrig demo` asks the reference agent, wherever it is typed, and says what may come next."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.clock import Clock
from harness.commands.main import call
from harness.errors import ExitCode, StartError
from harness.records.outcome import Outcome, RunResult
from harness.records.spec import ExperimentSpec
from harness.run import pipeline
from harness.run.folder import RunFolder
from harness.run.pipeline import Progress, RunSettings

Asked = tuple[Sequence[ExperimentSpec], RunSettings]


def test_it_is_three_quick_experiments_of_the_reference_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Asked] = []

    def run(
        specs: Sequence[ExperimentSpec], settings: RunSettings, progress: Progress, clock: Clock
    ) -> tuple[RunResult, RunFolder]:
        asked.append((specs, settings))
        result = RunResult(
            run_id="x", verdict=Outcome.FAIL, started_s=0.0, duration_s=1.0, quick=True, experiments=()
        )
        return result, RunFolder(tmp_path / "kept")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "agentrig.toml").write_text("[agent]\ncommand = ['false']\n", "utf-8")
    monkeypatch.setattr(pipeline, "run", run)
    assert call(["demo", "--out", "kept"]) == ExitCode.FELL_SHORT
    ((specs, settings),) = asked
    assert [spec.name for spec in specs] == ["cold-start", "busy-routing", "throttling"]
    assert (settings.quick, settings.own, settings.out) == (True, None, Path("kept"))
    assert f"Next: agentrig traces {tmp_path / 'kept'}" in capsys.readouterr().out


def test_what_does_not_start_is_told_and_no_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: object) -> None:
        raise StartError("no Envoy")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "run", run)
    assert call(["demo"]) == ExitCode.NOT_STARTED
    told = capsys.readouterr()
    assert "no Envoy" in told.err
    assert "Next:" not in told.out
