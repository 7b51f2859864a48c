"""What the documentation shows is what there is."""

import re
from pathlib import Path

import pytest

from harness import pipeline
from harness.experiment.load import parse

DOCS = Path(__file__).parents[1] / "docs"
OWN = DOCS / "own-experiment.md"


def blocks(file: Path) -> list[str]:
    return re.findall(r"```toml\n(.*?)```", file.read_text("utf-8"), re.DOTALL)


def test_the_experiment_that_is_built_from_nothing_is_one() -> None:
    spec = parse(blocks(OWN)[0], OWN.name, pipeline.known())
    assert spec.name == "outage-drill"
    assert [name for name, arm in spec.arms.items() if arm.control] == ["none"]


@pytest.mark.parametrize("number", range(1, len(blocks(OWN))))
def test_every_further_part_fits_into_it(number: int) -> None:
    whole, part = blocks(OWN)[0], blocks(OWN)[number]
    spec = parse(f"{whole}\n{part}", OWN.name, pipeline.known())
    assert spec.fleet.events or len(spec.cells()) == 18
