"""An agent broken in twenty-six ways: each is found by the check that is there for it, and by no other.

Writes `docs/broken-agents.md` from the verdicts.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from harness.clock import SystemClock
from harness.commands.progress import TerminalProgress
from harness.experiment.load import load
from harness.records.outcome import ExperimentResult, Outcome
from harness.records.spec import ExperimentSpec
from harness.run import pipeline
from harness.run.pipeline import RunSettings
from tests.proof.broken_agent import WAYS

pytestmark = pytest.mark.proof
HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "broken-agents.md"
EXPERIMENTS = ("broken-calls", "broken-retries", "broken-slots", "broken-sessions")
HEAD = """# Broken on purpose

Does a check find the fault that it is there for, and only that? `make proof` puts each of these faults
into the running reference agent, from outside, and runs it under load beside the sound agent. This
page is what came out; the checks that held are not listed.

| what was broken | found by | what it said |
|---|---|---|
"""


@pytest.fixture(scope="module")
def specs() -> list[ExperimentSpec]:
    return [load(str(HERE / f"{name}.toml"), pipeline.known()) for name in EXPERIMENTS]


@pytest.fixture(scope="module", params=EXPERIMENTS)
def result(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ExperimentResult:
    """One of the four parts: one that met a busy machine is run again alone (`-k broken-sessions`)."""
    spec = load(str(HERE / f"{request.param}.toml"), pipeline.known())
    clock = SystemClock()
    settings = RunSettings(
        out=tmp_path_factory.mktemp("proof") / "run",
        agent_command=(sys.executable, "-m", "tests.proof.broken_agent"),
    )
    with TerminalProgress(Console(), clock.monotonic) as progress:
        found, _ = pipeline.run([spec], settings, progress, clock)
    return found.experiments[0]


def test_every_way_to_break_it_has_an_arm_and_a_check_that_must_find_it(specs: list[ExperimentSpec]) -> None:
    broken = {arm.env["BROKEN"] for spec in specs for arm in spec.arms.values() if arm.control}
    caught = {arm for spec in specs for check in spec.checks for arm in check.caught_in}
    assert broken == caught == set(WAYS)


def test_each_fault_is_found_by_its_check_and_by_no_other(
    result: ExperimentResult, specs: list[ExperimentSpec]
) -> None:
    write(result, specs)
    assert [
        f"{check.id} in {check.arm}: {check.verdict.value}, {check.message}"
        for check in result.checks
        if check.verdict is not Outcome.PASS
    ] == []


def write(result: ExperimentResult, specs: list[ExperimentSpec]) -> None:
    """Put what this part saw onto the page; what others saw stays."""
    there = [line for line in PAGE.read_text("utf-8").splitlines(keepends=True) if line.startswith("| ")][1:]
    new = list(rows(result))
    lines = [
        line
        for spec in specs
        for line in (new if spec.name == result.name else there)
        if line.split()[1] in spec.arms
    ]
    PAGE.write_text(HEAD + "".join(lines), "utf-8")


def rows(result: ExperimentResult) -> Iterator[str]:
    for arm, summary in result.arms.items():
        for check in result.checks:
            if check.arm == arm and summary.control and check.message.startswith("caught"):
                said = check.message.partition(": ")[2].replace("|", "\\|")
                yield f"| {arm} | `{check.id}` | {said} |\n"
