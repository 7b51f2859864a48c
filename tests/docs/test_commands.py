"""Every `agentrig` command of the documentation is one: parsed as the program would, and not run."""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.exceptions import Exit, TyperException

from harness.commands.main import application, call
from harness.errors import ExitCode, InputError
from tests.test_docs import ROOT, pages

SHELL = re.compile(r"^[ ]*```(?:sh|bash|shell|console)\n(.*?)^[ ]*```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(agentrig [^`]+)`")
OPERATORS = {"|", "||", "&&", ";", "&"}
REDIRECTIONS = {">", ">>", "<"}


def commands(text: str) -> Iterator[list[str]]:
    """Yield each command of ours: in shell blocks, and in sentences, where a name alone will do."""
    for line in "".join(SHELL.findall(text)).replace("\\\n", " ").splitlines():
        yield from of_line(line)
    for line in INLINE.findall(text):
        yield from ([*words, "--help"] if len(words) == 1 else words for words in of_line(line))


def of_line(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word not in OPERATORS:
            command.append(word)
            continue
        if command[:1] == ["agentrig"]:
            until = next((n for n, each in enumerate(command) if each in REDIRECTIONS), None)
            yield command[1:until]
        command = []


def parse(words: Sequence[str]) -> None:
    """Parse a command.

    Raises:
        TyperException: there is no such command or option, or a value is missing or wrong.
    """
    command, context, rest = typer.main.get_command(application()), None, list(words)
    name = "agentrig"
    while True:
        context = command.make_context(name, list(rest), parent=context)
        if not hasattr(command, "resolve_command"):
            return
        rest = rest[len(rest) - len(context.args) - 1 :]  # with the name of the command
        name, command, rest = command.resolve_command(context, rest)


FOUND = [(page, words) for page in pages() for words in commands(page.read_text("utf-8"))]


def test_the_pages_show_commands() -> None:
    assert {page.name for page, _ in FOUND} >= {"README.md", "gate.md", "locust.md", "own-experiment.md"}


@pytest.mark.parametrize(
    ("page", "words"), FOUND, ids=[f"{page.relative_to(ROOT)}: {shlex.join(words)}" for page, words in FOUND]
)
def test_a_command_of_the_documentation_is_one_of_the_program(page: Path, words: list[str]) -> None:
    with suppress(Exit):  # of --help
        parse(words)


@pytest.mark.parametrize(
    "line", ["agentrig rn", "agentrig run --quik", "agentrig gate --base", "agentrig judge"]
)
def test_one_that_the_program_does_not_have_is_found(line: str) -> None:
    ((words),) = of_line(line)
    with pytest.raises(TyperException):
        parse(words)


def test_comments_pipes_and_the_next_line_are_no_part_of_a_command() -> None:
    text = "```sh\nX=1; agentrig run \\\n  --quick # no\nls && agentrig list | sort > agentrig\n```\n"
    assert list(commands(text)) == [["run", "--quick"], ["list"]]


# --- those that can be run here --------------------------------------------------------
QUICK = {"list", "doctor", "version", "init", "locustfiles"}
"""They start nothing, without `--speed`. The others are run by the end-to-end tests, with less load."""
RUNNABLE = sorted(
    {
        tuple(words)
        for _, words in FOUND
        if words and words[0] in QUICK and not {"--agent", "--speed"} & set(words)
    }
)


@pytest.mark.parametrize("words", RUNNABLE, ids=shlex.join)
def test_a_quick_command_of_the_documentation_runs(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(list(words)) == 0


def test_the_first_commands_for_ones_own_agent_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agent.py").write_text(
        "import os\nfrom bedrock_agentcore.runtime import BedrockAgentCoreApp\nimport openai\n"
        'app = BedrockAgentCoreApp()\napp.run(port=int(os.environ["PORT"]))\n',
        "utf-8",
    )
    assert call(["init"]) == 0
    assert call(["doctor", "--no-start"]) == 0  # the framework is not there
    assert call(["init"]) == 3, "what is there is kept"


# --- the gate, with its measuring replaced -----------------------------------------------
class AskedError(InputError):
    """The gate would now measure for minutes."""


GATES = sorted({tuple(words) for _, words in FOUND if words[:1] == ["gate"] and words[1:] != ["--help"]})


@pytest.mark.parametrize("words", GATES, ids=shlex.join)
def test_a_gate_of_the_documentation_measures_what_it_says(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[str] = []
    measured: list[str] = []

    def measures(what: str) -> Callable[..., None]:
        def measure(*asked: Any, **_: Any) -> None:
            measured.append(what)
            got.extend(asked[:2] if what == "bisect" else ())
            raise AskedError(what)

        return measure

    class Sources:
        def get(self, name: str, _side: Any, *, like: Any = None) -> str:
            got.append(name)
            return name

    @contextmanager
    def sources(*_: Any, **__: Any) -> Iterator[Sources]:
        yield Sources()

    monkeypatch.chdir(tmp_path)
    for name, value in {
        "temporary_sources": sources,
        "gate": measures("gate"),
        "self_check": measures("self-check"),
        "find_commit": measures("bisect"),
    }.items():
        monkeypatch.setattr(f"harness.commands.gate.{name}", value)
    assert call(list(words)) == ExitCode.BAD_INPUT
    (what,) = measured
    assert what == next((each for each in ("bisect", "self-check") if f"--{each}" in words), "gate")
    named = [words[n + 1] for n, word in enumerate(words) if word in {"--base", "--head"}]
    if "--bisect" in words:
        named += words[words.index("--bisect") + 1 :][:2]
    assert set(named) <= set(got)
