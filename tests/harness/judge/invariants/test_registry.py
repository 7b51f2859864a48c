import inspect
from pathlib import Path

import pytest

from harness.judge import invariants
from harness.judge.invariants import REGISTRY
from tests.harness.histories import Arm
from tests.harness.judge.cases import find


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_an_arm_in_which_nothing_happened_is_unknown_to_every_invariant(name: str) -> None:
    finding = find(name, Arm(), versus=Arm())
    assert finding.holds is None
    assert finding.observed is None
    assert finding.message.startswith("no data: ")
    assert finding.traces == ()


def test_each_file_of_the_folder_is_one_registered_invariant() -> None:
    folder = Path(inspect.getfile(invariants)).parent
    files = {file.stem.replace("_", "-") for file in folder.glob("*.py")} - {"--init--"}
    assert files == set(REGISTRY)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_each_says_its_name_its_unit_and_what_to_do(name: str) -> None:
    invariant = REGISTRY[name]
    assert invariant.id == name
    assert invariant.title
    assert invariant.unit
    assert invariant.remedy.endswith(".")
