"""The examples are what they say: the patterns as they are, the versions that are tested, the lines shown."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from harness.own.config import read
from tests.test_docs import DOCS

EXAMPLES = sorted(folder for folder in (DOCS / "examples").iterdir() if (folder / "agent.py").exists())
PATTERNS = DOCS.parent / "reference_agent" / "patterns"
PINNED = dict(
    line.lower().replace("_", "-").split("==")
    for line in (DOCS.parent / "constraints.txt").read_text("utf-8").split()
)
of_each = pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)


def settings(file: Path) -> dict:
    return tomllib.loads(file.read_text("utf-8"))


def test_there_are_three() -> None:
    assert [folder.name for folder in EXAMPLES] == ["agentcore", "fastapi-openai", "pydantic-ai"]


@of_each
def test_the_copied_patterns_are_ours_byte_by_byte(folder: Path) -> None:
    ours = {file.name: file.read_bytes() for file in PATTERNS.glob("*.py")}
    assert len(ours) == 4
    assert {file.name: file.read_bytes() for file in (folder / "patterns").glob("*.py")} == ours


def test_each_keeps_its_sessions_in_the_same_way() -> None:
    assert len({(folder / "sessions.py").read_bytes() for folder in EXAMPLES}) == 1


@of_each
@pytest.mark.parametrize("pattern", ["busy_signal", "client_cache", "retry"])
def test_the_mended_agent_uses_each_pattern_and_the_usual_one_none(folder: Path, pattern: str) -> None:
    def imported(file: str) -> set[str]:
        tree = ast.parse((folder / file).read_text("utf-8"))
        return {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert f"patterns.{pattern}" in imported("agent.py")
    assert f"patterns.{pattern}" not in imported("agent_usual.py")


@of_each
def test_the_versions_asked_for_are_the_ones_tested(folder: Path) -> None:
    lines = (folder / "requirements.txt").read_text("utf-8").split()
    requirements = [Requirement(line) for line in lines]
    assert len(requirements) >= 3
    for requirement in requirements:
        assert str(requirement.specifier).startswith("~=")
        assert requirement.specifier.contains(PINNED[requirement.name]), requirement.name


@of_each
def test_the_usual_agent_and_the_mended_one_are_asked_in_the_same_way(folder: Path) -> None:
    mended, usual = settings(folder / "agentrig.toml"), settings(folder / "usual.toml")
    assert mended["request"] == usual["request"]
    assert mended["agent"]["concurrency_limit"] == usual["agent"]["concurrency_limit"]
    assert usual["agent"]["env"].items() <= mended["agent"]["env"].items()
    words = [word.replace("agent_usual", "agent") for word in usual["agent"]["command"]]
    assert words == mended["agent"]["command"]


@of_each
def test_lines_that_a_readme_shows_as_changed_are_in_the_files(folder: Path) -> None:
    diffs = re.findall(r"```diff\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    lines = [line for diff in diffs for line in diff.splitlines() if line[:1] in "+-" and line[1:].strip()]
    assert len(lines) >= 5
    for line in lines:
        source = "agent.py" if line[0] == "+" else "agent_usual.py"
        assert line[1:].strip() in (folder / source).read_text("utf-8"), f"{source} has no line {line[1:]}"


@of_each
@pytest.mark.parametrize("file", ["agentrig.toml", "usual.toml"])
def test_how_an_example_is_started_is_understood(folder: Path, file: str) -> None:
    agent = read(folder / file).under_test(folder)
    assert agent.workdir == folder.resolve()
    assert agent.argv[0] == "python3"
