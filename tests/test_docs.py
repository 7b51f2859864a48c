"""What the documentation shows is what there is.

`python -m tests.test_docs` writes what is made of the code.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import pipeline
from harness.experiment.load import catalogue, load, parse
from harness.judge.invariants import REGISTRY
from harness.report import words
from tests import telemetry_page

DOCS = Path(__file__).parents[1] / "docs"
OWN = DOCS / "own-experiment.md"
CHECKS = DOCS / "checks.md"
TELEMETRY = DOCS / "telemetry.md"
CHECKS_HEAD = """# The checks

Each is one small file in `harness/judge/invariants/`, tested on histories written by hand: nothing
there is *unknown*, a good one holds, a bad one is found. An experiment names the arms in which a check
must hold and the control arms in which it must be found failing, and may set another limit. A check that
a slow machine could make fail (*timing*) is *unknown* when the harness itself was the bottleneck; one
that *compares* needs another arm.

"""


def blocks(file: Path) -> list[str]:
    return re.findall(r"```toml\n(.*?)```", file.read_text("utf-8"), re.DOTALL)


def checks_page() -> str:
    return CHECKS_HEAD + "\n".join(sections())


def sections() -> Iterator[str]:
    specs = [load(name, pipeline.known()) for name in catalogue()]
    for name, invariant in sorted(REGISTRY.items()):
        module = sys.modules[invariant.examine.__module__]
        kinds = [
            word for word, is_so in (("timing", invariant.timing), ("compares", invariant.compares)) if is_so
        ]
        used = [spec.name for spec in specs if any(check.id == name for check in spec.checks)]
        facts = [
            f"Limit {words.quantity(invariant.limit, invariant.unit)} unless the experiment says otherwise",
            *([", ".join(kinds)] if kinds else []),
            f"used by {', '.join(used)}" if used else "for experiments of your own",
        ]
        yield (
            f"## {name}\n\n{inspect.getdoc(module)}\n\n{'; '.join(facts)}.\n\n"
            f"**When it falls short:** {invariant.remedy}\n"
        )


def test_the_page_of_checks_is_what_the_code_says() -> None:
    assert CHECKS.read_text("utf-8") == checks_page(), "write it anew: python -m tests.test_docs"


def test_the_page_of_telemetry_is_what_the_code_sends() -> None:
    assert TELEMETRY.read_text("utf-8") == telemetry_page.page(), "write it anew: python -m tests.test_docs"


def test_the_experiment_that_is_built_from_nothing_is_one() -> None:
    spec = parse(blocks(OWN)[0], OWN.name, pipeline.known())
    assert spec.name == "outage-drill"
    assert [name for name, arm in spec.arms.items() if arm.control] == ["none"]


@pytest.mark.parametrize("number", range(1, len(blocks(OWN))))
def test_every_further_part_fits_into_it(number: int) -> None:
    whole, part = blocks(OWN)[0], blocks(OWN)[number]
    spec = parse(f"{whole}\n{part}", OWN.name, pipeline.known())
    assert spec.fleet.events or len(spec.cells()) == 18


def test_links_between_files_lead_somewhere() -> None:
    root = DOCS.parent
    broken = [
        f"{file.relative_to(root)}: {link}"
        for file in [*DOCS.glob("*.md"), *root.glob("*.md")]
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", file.read_text("utf-8"))
        if not (file.parent / link).exists()
    ]
    assert broken == []


if __name__ == "__main__":
    CHECKS.write_text(checks_page(), "utf-8")
    TELEMETRY.write_text(telemetry_page.page(), "utf-8")
