"""What the gate's command says of itself."""

import shlex

import pytest

from harness.commands.gate import as_repeated


@pytest.mark.parametrize("folder", ["--out runs/g", "--out=runs/g", "--out"])
def test_the_command_that_is_repeated_names_no_folder_of_the_machine_that_ran_it(folder: str) -> None:
    words = ["gate", "--base", "v 1", *folder.split(), "--quiet"] if folder != "--out" else ["gate", "--out"]
    said = shlex.split(as_repeated(words))
    assert said == (
        ["agentrig", "gate", "--base", "v 1", "--quiet"] if folder != "--out" else ["agentrig", "gate"]
    )
