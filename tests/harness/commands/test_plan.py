"""What is typed: a wrong word is one sentence, and what was found decides the exit code."""

import json
from pathlib import Path

import pytest

from harness.commands.main import call
from harness.errors import ExitCode
from harness.records.workload import to_toml
from harness.simulator_config import Quota, SimulatorConfig
from tests.harness.plan.workloads import plain


@pytest.fixture
def workload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.plan.search.REQUESTS", 1500)
    file = tmp_path / "workload.toml"
    file.write_text(to_toml(plain(rate_rps=3)))
    return file


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--p99", "fast"], "give a time above 0"),
        (["--p99", "0s"], "give a time above 0"),
        (["--p99", "100ms"], "waits for nothing"),
        (["--p99", "4s", "--rate", "-3"], "--rate -3"),
        (["--p99", "4s", "--limit", "0"], "--limit 0"),
        (["--p99", "4s", "--limit", "a,b"], "--limit a,b"),
        (
            ["--p99", "4s", "--policy", "magic"],
            "--policy magic: there is no such policy. Those that it knows:",
        ),
        (["--p99", "4s", "--policy", "sesion"], "did you mean 'session'?"),
        (["--p99", "4s", "--prices", "none.toml"], "cannot be read"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_a_wrong_word_is_one_sentence(
    words: list[str], said: str, workload: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["plan", str(workload), *words]) == ExitCode.BAD_INPUT
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_a_policy_of_another_package_has_no_simulation(
    workload: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.commands.plan.known_policies", lambda: ("acme-sticky",))
    assert call(["plan", str(workload), "--p99", "4s", "--policy", "acme-sticky"]) == ExitCode.BAD_INPUT
    assert "`plan` has no simulation of it" in capsys.readouterr().err


def test_a_plan_that_holds_is_exit_0_and_written(workload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["plan", str(workload), "--p99", "4s", "--out", "planned", "--json"]) == ExitCode.HELD
    told = json.loads(capsys.readouterr().out)
    assert told["holds"]
    assert told["containers"] >= 2
    assert "containers of limit 1 hold" in Path("planned/plan.html").read_text()
    assert json.loads(Path("planned/forecast.json").read_text()) == told


def test_a_quota_that_binds_is_exit_1(workload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workload.write_text(to_toml(plain(rate_rps=3, quota=Quota(rpm=60))))
    assert call(["plan", str(workload), "--p99", "4s"]) == ExitCode.FELL_SHORT
    assert "no number of containers helps" in capsys.readouterr().out


def test_a_workload_in_doubt_makes_no_green_plan(workload: Path) -> None:
    workload.write_text(to_toml(plain(rate_rps=3, doubts=("it was overloaded",))))
    assert call(["plan", str(workload), "--p99", "4s", "--containers", "12"]) == ExitCode.UNKNOWN


def test_the_simulator_is_told_by_a_workload(workload: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        "harness.commands.simulator.serve",
        lambda _host, _port, *, config, journal, on_listen: told.append(config.read_text()),
    )
    assert call(["simulator", "--workload", str(workload)]) == ExitCode.HELD
    assert SimulatorConfig.model_validate_json(told[0]) == plain(rate_rps=3).simulator()
    assert call(["simulator", "--workload", str(workload), "--config", "c.toml"]) == ExitCode.BAD_INPUT
    assert call(["simulator", "--workload", "none.toml"]) == ExitCode.BAD_INPUT


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.jsonl"], "there is no such file"),
        (["empty"], "holds no file of spans"),
        (["run"], "no arm of it has any request"),
        (["nowhere.jsonl", "--since", "ever"], "give a time such as"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_a_source_that_is_none_is_one_sentence(
    words: list[str], said: str, workload: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del workload
    Path("empty").mkdir()
    Path("run").mkdir()
    Path("run/plan.json").write_text("{}")
    assert call(["calibrate", *words]) == ExitCode.BAD_INPUT
    assert said in capsys.readouterr().err
