"""What the gate's command says of itself."""

import shlex
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

from harness.commands import gate
from harness.commands.gate import as_repeated
from harness.commands.main import application
from harness.fleet import installed
from harness.outside.plugins import PluginError


@pytest.mark.parametrize("folder", ["--out runs/g", "--out=runs/g", "--out"])
def test_the_command_that_is_repeated_names_no_folder_of_the_machine_that_ran_it(folder: str) -> None:
    words = ["gate", "--base", "v 1", *folder.split(), "--quiet"] if folder != "--out" else ["gate", "--out"]
    said = shlex.split(as_repeated(words))
    assert said == (
        ["agentrig", "gate", "--base", "v 1", "--quiet"] if folder != "--out" else ["agentrig", "gate"]
    )


def test_a_policy_that_is_broken_is_told_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object, **__: object) -> NoReturn:
        raise PluginError("acme-rig 1.0: its entry point acme is broken")

    def built(*_: object, **__: object) -> NoReturn:
        raise AssertionError("something was built")

    monkeypatch.setattr(installed, "picks", broken)
    monkeypatch.setattr(gate, "temporary_sources", built)
    words = ["gate", "--experiment", "busy-routing", "--out", str(tmp_path / "out")]
    ended = CliRunner().invoke(application(), words)
    assert isinstance(ended.exception, PluginError)
