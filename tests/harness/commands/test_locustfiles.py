from pathlib import Path

import pytest

from harness.commands.locustfiles import PACKAGE, folder
from harness.errors import StartError


def test_the_scenarios_of_this_checkout_are_found() -> None:
    assert (folder(PACKAGE) / "steady.py").is_file()


def test_what_is_installed_has_its_own(tmp_path: Path) -> None:
    for place in ("harness/shipped/locustfiles", "locustfiles"):
        (tmp_path / place).mkdir(parents=True)
    assert folder(tmp_path / "harness") == tmp_path / "harness/shipped/locustfiles"


def test_an_installation_that_lacks_them_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="Install agentrig again"):
        folder(tmp_path / "harness")
