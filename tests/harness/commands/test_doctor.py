"""What `agentrig doctor` says of a machine that is not as ours."""

import platform

import pytest

from harness.commands import doctor
from harness.errors import StartError


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
