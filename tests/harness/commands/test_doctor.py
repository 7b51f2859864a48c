"""What `agentrig doctor` says of a machine that is not as ours."""

import platform
from pathlib import Path

import pytest
import typer

from harness.commands import doctor
from harness.errors import StartError
from harness.own.examine import Requirement


def findings() -> dict[str, tuple[bool, str]]:
    return {each.what: (each.ok, each.detail) for each in doctor.examine_machine()}


def without_envoy() -> None:
    raise StartError("Envoy is not installed.")


def test_without_envoy_one_sentence_says_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_envoy", without_envoy)
    ok, said = findings()["Envoy"]
    assert not ok
    assert said.startswith(
        "Envoy is not installed. Without it all works that starts no fleet: init, conform, "
    )
    assert said.count(".") == 2


@pytest.mark.parametrize(
    ("system", "ok", "said"),
    [
        ("Linux", True, "Linux, "),
        ("Darwin", True, "macOS: no wheel of Envoy"),
        ("Windows", False, "Windows: a fleet "),
    ],
)
def test_the_system_is_told(monkeypatch: pytest.MonkeyPatch, system: str, *, ok: bool, said: str) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    found = findings()["system"]
    assert found[0] is ok
    assert found[1].startswith(said)


def test_what_is_found_is_shown_before_the_agent_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown_before = []

    def try_and_tell(*_: object) -> tuple[Requirement, ...]:
        shown_before.append(capsys.readouterr().out)
        return (Requirement(what="agent", ok=False, detail="was not ready after 180 s"),)

    monkeypatch.setattr(doctor, "try_and_tell", try_and_tell)
    (tmp_path / "agentrig.toml").write_text('[agent]\ncommand = ["python3", "-V", "{port}"]\n')
    with pytest.raises(typer.Exit) as ended:
        doctor.doctor(tmp_path / "agentrig.toml")
    assert ended.value.exit_code == 4
    (shown,) = shown_before
    assert "CPU cores: " in shown
    assert "port: told by {port}" in shown
    assert "was not ready after 180 s" in capsys.readouterr().out
