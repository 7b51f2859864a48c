import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.commands import doctor, run
from harness.commands.console import jaeger_addresses, otlp_address
from harness.commands.main import COMMANDS, COMPLETE, UNLISTED, _wanted, application, call, interruptible
from harness.commands.screen import ALL
from harness.errors import ExitCode, InputError
from harness.outside.secrets import remember
from harness.own.examine import Requirement
from harness.records.outcome import ArmSummary, ExperimentResult, Outcome
from harness.records.spec import Cell, ExperimentSpec


@pytest.mark.parametrize(
    ("given", "page", "otlp"),
    [
        ("http://localhost:16686", "http://localhost:16686", "http://localhost:4318"),
        ("http://localhost:4318", "http://localhost:16686", "http://localhost:4318"),
        ("https://jaeger.example/path", "https://jaeger.example", "https://jaeger.example:4318"),
        ("http://[::1]:16686", "http://[::1]:16686", "http://[::1]:4318"),
        (None, None, None),
    ],
)
def test_either_of_jaegers_addresses_gives_both(
    given: str | None, page: str | None, otlp: str | None
) -> None:
    assert jaeger_addresses(given) == (page, otlp)


@pytest.mark.parametrize("given", ["localhost:16686", "ftp://x", "http://", "http://x:port", ""])
def test_what_is_no_address_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(InputError, match="http://localhost:16686"):
        jaeger_addresses(given)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["fly"], "fly"),
        (["run", "--sped"], "--sped"),
        (["run", "throtling"], "did you mean 'throttling'"),
        (["judge"], "RUN"),
        (["judge", "nowhere"], "is not a run folder"),
        (["run", "cold-start", "--full"], "these have one: none of those named"),
        (["run", "busy-routing", "fleet-rate", "--full"], "these have one: busy-routing, fleet-rate"),
        (["run", "busy-routing", "--full", "--quick"], "contradict each other"),
        (["run", "busy-routing", "--full", "--json"], "each cell has a verdict.json of its own"),
        (["up", "--agents", "0"], "agents"),
        (["run", "cold-start", "--on", "podman"], "give local, docker, kubernetes or"),
        (["run", "restored", "--on", "docker"], "are there for processes alone"),
        (["run", "cold-start", "--inside"], "--inside is for --on kubernetes"),
        (["run", "cold-start", "--on", "docker", "--inside"], "--inside is for --on kubernetes"),
        (["run", "busy-routing", "--on", "kubernetes", "--inside", "--full"], "--inside has no --full"),
        (["run", "cold-start", "--on", "kubernetes", "--bench-image", "i"], "give that, too"),
        (["run", "restored", "--on", "kubernetes", "--inside"], "are there for processes alone"),
        (["simulator", "--host", "0.0.0.0"], "AGENTRIG_SIMULATOR_TOKEN"),
        (["judge", ""], "an argument is empty"),
        (["run", "cold-start", "--out="], "an argument is empty"),
        (["conform", "http://127.0.0.1:-1"], "is no address"),
        (["conform", "http://["], "is no address"),
        (["run", "cold-start", "--otlp", "http://127.0.0.1:99999"], "is not an http address"),
    ],
)
def test_wrong_words_exit_3_with_a_message(
    args: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(args) == ExitCode.BAD_INPUT
    assert said in " ".join(capsys.readouterr().err.split())


def test_without_words_it_says_three_things_that_can_be_done_next_on_one_screen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call([]) == ExitCode.HELD
    shown = capsys.readouterr().out
    assert re.findall(r"^  agentrig (\w+)", shown, re.MULTILINE) == ["demo", "init", "conform"]
    assert fits(shown)


def fits(text: str) -> bool:
    lines = text.splitlines()
    return len(lines) <= 24 and max(map(len, lines)) <= 80


@pytest.mark.parametrize("command", [name for name, *_ in COMMANDS])
def test_the_help_of_a_command_fits_a_screen_and_names_each_option(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(application(command), [command, "--help"]).output
    assert f"Usage: agentrig {command}" in shown
    assert fits(shown.strip("\n")), shown
    whole = CliRunner().invoke(application(command, whole=True), [command, ALL]).output
    known = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", whole, re.MULTILINE)) - {"--help"}
    assert known <= set(re.findall(r"--[a-z-]+", shown))


def test_what_a_screen_has_no_room_for_is_told_when_all_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert call(["run", "--help"]) == ExitCode.HELD
    assert "found out by default" not in " ".join(capsys.readouterr().out.split())
    assert call(["run", ALL]) == ExitCode.HELD
    assert "found out by default" in " ".join(capsys.readouterr().out.split())


def test_the_list_of_all_commands_fits_a_screen_and_has_a_line_for_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert max(len(short) for *_, short in COMMANDS) <= 60
    assert call(["--help"]) == ExitCode.HELD
    shown = capsys.readouterr().out
    assert fits(shown.strip("\n")), shown
    listed = re.findall(r"^  (\w+)  +(\S.*)$", shown, re.MULTILINE)
    assert listed == [(name, short) for name, *_, short in COMMANDS if name not in UNLISTED]
    assert call([ALL]) == ExitCode.HELD
    assert "Print the version." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ({"COMP_WORDS": "agentrig run thr", "COMP_CWORD": "2"}, "run"),
        ({"COMP_WORDS": "agentrig ru", "COMP_CWORD": "1"}, ""),
        ({"_TYPER_COMPLETE_ARGS": "agentrig schema v"}, "schema"),
        ({}, None),
    ],
)
def test_a_shell_that_completes_waits_for_one_command_to_be_loaded(
    typed: dict[str, str], wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {COMPLETE: "complete_bash", **typed}.items():
        monkeypatch.setenv(name, value)
    assert _wanted([]) == wanted


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("agentrig thr", ""),
        ("agentrig ru", "run"),
        ("agentrig run thr", "throttling"),
        ("agentrig schema verd", "verdict.json"),
        ("agentrig baseline co", "compare"),
        ("agentrig run --qu", "--quick --quiet"),
    ],
)
def test_a_shell_gets_what_may_come_next(
    typed: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = typed.split()
    told = {COMPLETE: "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        call([])
    assert (end.value.code, capsys.readouterr().out.split()) == (0, said.split())


def test_the_catalogue_is_listed_with_its_controls(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["list"]) == ExitCode.HELD
    shown = capsys.readouterr().out
    assert "cold-start" in shown
    assert "(per-request)" in shown


@pytest.mark.parametrize(("ratio", "exit_code"), [(1.02, ExitCode.HELD), (None, ExitCode.UNKNOWN)])
def test_a_whole_matrix_is_told_and_its_worst_cell_decides(
    ratio: float | None,
    exit_code: ExitCode,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run_matrix(spec: ExperimentSpec, *_: object) -> list[tuple[Cell, ExperimentResult]]:
        arm = ArmSummary(control=False, requests=900, errors=0, p99_over_optimum=ratio)
        verdict = Outcome.UNKNOWN if ratio is None else Outcome.PASS
        told = ExperimentResult(
            name="cell", title="", claim="", verdict=verdict, arms={"busy-aware": arm}, checks=()
        )
        return [(cell, told) for cell in spec.cells()]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "run_matrix", run_matrix)
    assert call(["run", "busy-routing", "--full", "--quiet"]) == exit_code
    shown = capsys.readouterr().out
    assert ("p99 / optimum" if ratio else "p99, ms") in shown
    assert f"{24 if ratio else 0} of 24 cells held" in shown


def test_what_the_doctor_found_is_a_json_object_a_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call(["doctor", "--json"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"Python", "Envoy"} <= {each["what"] for each in found}
    assert all(isinstance(each["ok"], bool) for each in found)


def test_a_small_machine_lacks_nothing_and_is_told_what_that_means(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.commands.doctor.usable_cores", lambda: 2 / 3)
    assert call(["doctor"]) == ExitCode.HELD
    shown = " ".join(capsys.readouterr().out.split())
    assert "CPU cores: 0.667 (the catalogue is sized for 2: on fewer, loads are scaled down" in shown


def test_without_an_engine_nothing_is_missing_and_it_is_told_what_needs_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    assert call(["doctor"]) == ExitCode.HELD
    shown = " ".join(capsys.readouterr().out.split())
    assert "container engine: none, and only --on docker needs one" in shown
    assert "no-engine.sock: no container engine answers there" in shown


@pytest.fixture
def handlers_restored() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers_restored")
def test_the_first_interrupt_is_raised_and_the_second_cannot_break_the_clean_up() -> None:
    cleaned: list[bool] = []

    def interrupted_twice() -> None:
        with interruptible():
            try:
                os.kill(os.getpid(), signal.SIGINT)
            finally:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGTERM)
                cleaned.append(True)

    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()
    assert cleaned == [True]
    os.kill(os.getpid(), signal.SIGINT)  # while the process ends: no other exit code


def test_without_an_interrupt_the_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_the_checks_are_listed_with_where_they_hold_and_are_caught(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(["list", "--checks", "--json"]) == ExitCode.HELD
    found = {each["check"]: each for each in json.loads(capsys.readouterr().out)}
    late = {"experiment": "throttling", "arm": "sdk-default", "quick": False}
    assert found["attempts-agree"]["caught"] == [late]
    assert call(["list", "--checks"]) == ExitCode.HELD
    told = " ".join(capsys.readouterr().out.split())
    assert "nowhere in --quick" in told
    assert "a precondition" in told


def test_the_version_is_told_by_an_option_and_by_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["--version"]) == ExitCode.HELD
    told = capsys.readouterr().out
    assert call(["version"]) == ExitCode.HELD
    assert capsys.readouterr().out == told


def test_the_list_has_the_experiments_of_ones_own_agent(capsys: pytest.CaptureFixture[str]) -> None:
    call(["list", "--json"])
    names = [spec["name"] for spec in json.loads(capsys.readouterr().out)]
    assert {"own-clients", "own-retry", "throttling"} <= set(names)


def test_any_store_of_traces_can_be_named_in_jaegers_place() -> None:
    assert otlp_address(None, None) is None
    assert otlp_address(None, "http://j:4318") == "http://j:4318"
    assert otlp_address("https://store.example/otlp/v1/traces", None) == "https://store.example/otlp"
    for wrong, of_jaeger in (("store", None), ("http://s", "http://j:4318")):
        with pytest.raises(InputError, match="--otlp"):
            otlp_address(wrong, of_jaeger)


@pytest.mark.parametrize("words", [["doctor", "--no-start"], ["doctor", "--no-start", "--json"]])
def test_whoever_prints_no_secret_is_shown(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    found = Requirement(what="answer", ok=True, detail="HTTP 200: your key is marked-key-7f3a")
    monkeypatch.setattr(doctor, "examine_machine", lambda: (found,))
    remember(["marked-key-7f3a"])
    call(words)
    shown = capsys.readouterr()
    assert "your key is [secret]" in " ".join(shown.out.split())
    assert "marked" not in shown.out + shown.err


def test_the_password_of_an_address_that_was_given_is_shown_nowhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(["run", "--otlp", "ftp://me:marked7f3a@127.0.0.1:1", "cold-start"]) == ExitCode.BAD_INPUT
    shown = capsys.readouterr()
    assert "ftp://me:[secret]@127.0.0.1:1" in shown.err
    assert "marked" not in shown.out + shown.err
