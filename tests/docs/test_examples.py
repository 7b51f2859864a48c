"""The examples are what they say: the patterns as they are, the versions that are tested, the lines shown."""

import ast
import json
import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from harness.own.config import OwnAgent, read
from harness.own.detect import detect
from harness.own.write import text_of, write
from harness.under_test import RequestShape
from tests.test_docs import DOCS

EXAMPLES = sorted(folder for folder in (DOCS / "examples").iterdir() if (folder / "agent.py").exists())
PATTERNS = DOCS.parent / "reference_agent" / "patterns"
PINNED = {
    each.name.lower().replace("_", "-"): str(each.specifier).removeprefix("==")
    for each in map(Requirement, (DOCS.parent / "constraints.txt").read_text("utf-8").splitlines())
}
OF_THEIR_OWN = ["adk", "langgraph", "openai-agents", "strands-bedrock"]
"""Those with an environment of their own, in `.venv`: their frameworks need not agree with agentrig's."""
NODE = DOCS / "examples" / "node-openai"
"""Its patterns are two files of its own language: a client is built at import there, once a process."""
FORMS = {"usual": "usual.toml", "mended": "agentrig.toml"}
STARTED_BY_HAND = {"agentcore"}
"""Those whose file starts them by their own `app.run`, where `init` takes the ASGI object."""
of_each = pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
of_all = pytest.mark.parametrize("folder", [*EXAMPLES, NODE], ids=lambda folder: folder.name)


def settings(file: Path) -> dict:
    return tomllib.loads(file.read_text("utf-8"))


def sources(folder: Path, form: str) -> list[Path]:
    """The files of one form; Google's ADK wants each of its agents in a folder of its own."""
    if folder == NODE:
        return [folder / ("agent_usual.js" if form == "usual" else "agent.js")]
    if form == "usual":
        return [folder / "agent_usual.py", *folder.glob("usual/*/agent.py")]
    return [folder / "agent.py", *folder.glob("agents/*/agent.py")]


def test_there_are_eight() -> None:
    names = [folder.name for folder in EXAMPLES]
    assert names == sorted([*OF_THEIR_OWN, "agentcore", "fastapi-openai", "pydantic-ai"])
    assert {folder.name for folder in (DOCS / "examples").iterdir() if folder.is_dir()} == {*names, NODE.name}
    table = (DOCS / "examples" / "README.md").read_text("utf-8")
    assert all(f"| [{name}]({name})" in table for name in (*names, NODE.name))


@of_each
def test_the_copied_patterns_are_ours_byte_by_byte(folder: Path) -> None:
    ours = {file.name: file.read_bytes() for file in PATTERNS.glob("*.py")}
    assert len(ours) == 4
    assert {file.name: file.read_bytes() for file in (folder / "patterns").glob("*.py")} == ours


def test_each_keeps_its_sessions_in_the_same_way() -> None:
    files = [folder / "sessions.py" for folder in EXAMPLES if (folder / "sessions.py").exists()]
    assert len(files) == 5  # LangGraph and ADK bring a store
    assert len({file.read_bytes() for file in files}) == 1


@of_each
@pytest.mark.parametrize("pattern", ["busy_signal", "client_cache", "retry"])
def test_the_mended_agent_uses_each_pattern_and_the_usual_one_none(folder: Path, pattern: str) -> None:
    def imported(form: str) -> set[str]:
        trees = [ast.parse(file.read_text("utf-8")) for file in sources(folder, form)]
        nodes = [node for tree in trees for node in ast.walk(tree)]
        return {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}

    assert f"patterns.{pattern}" in imported("mended")
    assert f"patterns.{pattern}" not in imported("usual")


@of_each
def test_the_versions_asked_for_are_the_ones_tested(folder: Path) -> None:
    lines = (folder / "requirements.txt").read_text("utf-8").split()
    requirements = [Requirement(line) for line in lines]
    assert len(requirements) >= 3
    for requirement in requirements:
        assert str(requirement.specifier).startswith("~=")
        if folder.name not in OF_THEIR_OWN:
            assert requirement.specifier.contains(PINNED[requirement.name]), requirement.name


@of_all
def test_the_usual_agent_and_the_mended_one_are_asked_in_the_same_way(folder: Path) -> None:
    mended, usual = settings(folder / "agentrig.toml"), settings(folder / "usual.toml")
    assert mended["request"] == usual["request"]
    assert mended["agent"]["concurrency_limit"] == usual["agent"]["concurrency_limit"]
    assert usual["agent"]["env"].items() <= mended["agent"]["env"].items()
    words = [word.replace("agent_usual", "agent") for word in usual["agent"]["command"]]
    assert words == mended["agent"]["command"]


@of_all
def test_lines_that_a_readme_shows_as_changed_are_in_the_files(folder: Path) -> None:
    diffs = re.findall(r"```diff\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    lines = [line for diff in diffs for line in diff.splitlines() if line[:1] in "+-" and line[1:].strip()]
    assert len(lines) >= 5
    for line in lines:
        files = sources(folder, "mended" if line[0] == "+" else "usual")
        text = "".join(file.read_text("utf-8") for file in files)
        assert line[1:].strip() in text, f"no line {line[1:]} in {files}"


@of_each
@pytest.mark.parametrize("file", ["agentrig.toml", "usual.toml"])
def test_how_an_example_is_started_is_understood(folder: Path, file: str) -> None:
    agent = read(folder / file).under_test(folder)
    assert agent.workdir == folder.resolve()
    assert agent.argv[0] == (".venv/bin/python" if folder.name in OF_THEIR_OWN else "python3")


def asked(agent: OwnAgent, folder: Path) -> RequestShape:
    """How an agent is asked; a key of the answer may be written as a path."""
    shape = agent.request.shape(folder)
    return replace(shape, answer=re.sub(r'^\["(\w+)"\]$', r"\1", shape.answer))


def project(folder: Path, example: Path, form: str) -> None:
    """Put one form of an example into a folder, without a file of agentrig's."""
    shutil.copytree(example, folder, dirs_exist_ok=True)
    for each in [folder / "agentrig.toml", folder / "usual.toml"]:
        each.unlink()
    for each in sources(example, "usual" if form == "mended" else "mended"):
        (folder / each.relative_to(example)).unlink()
    package = folder / "package.json"
    if package.exists() and form == "usual":  # which names one of the two
        package.write_text(package.read_text("utf-8").replace("agent.js", "agent_usual.js"), "utf-8")


def test_a_node_agents_versions_are_pinned_and_its_mended_form_uses_both_patterns() -> None:
    asked_for = json.loads((NODE / "package.json").read_text("utf-8"))["dependencies"]
    assert asked_for.keys() == {"express", "openai"}
    assert all(version.startswith("~") for version in asked_for.values())
    assert {file.name for file in (NODE / "patterns").iterdir()} == {"busy_signal.js", "retry.js"}
    for form in FORMS:
        text = "".join(file.read_text("utf-8") for file in sources(NODE, form))
        used = set(re.findall(r"""from "\./patterns/(\w+\.js)";""", text))
        assert used == ({"busy_signal.js", "retry.js"} if form == "mended" else set())


@of_all
@pytest.mark.parametrize("form", FORMS)
def test_init_finds_in_an_example_what_its_file_says(folder: Path, form: str, tmp_path: Path) -> None:
    project(tmp_path, folder, form)
    if folder.name in OF_THEIR_OWN:
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        (tmp_path / ".venv" / "bin" / "python").touch()
    found = detect(tmp_path)
    written = read(write(tmp_path, text_of(found, "x"), force=False))
    ours = read(folder / FORMS[form])
    assert [note for note in found.notes if " is taken for " not in note] == []
    assert asked(written, folder) == asked(ours, folder)
    assert written.agent.env == ours.agent.env
    if folder.name not in STARTED_BY_HAND:
        assert written.agent.command == ours.agent.command
        assert written.agent.ready == ours.agent.ready
