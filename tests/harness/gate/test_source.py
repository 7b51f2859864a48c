"""A version to be measured: a folder, or a commit with an environment of its own."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.errors import InputError, StartError
from harness.gate.source import ProgramError, Sources, fingerprint, run_program

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Programs:
    """Git, venv and pip that remember what they were asked and make what they would make."""

    def __init__(self, failing: str = "", inside: str = "") -> None:
        self.inside = inside
        self.ran: list[tuple[str, ...]] = []
        self._failing = failing

    def __call__(self, argv: Sequence[str], folder: Path) -> str:
        self.ran.append(tuple(argv))
        if self._failing and self._failing in argv:
            raise ProgramError("  | it broke")
        if "--show-prefix" in argv:
            return self.inside
        if "rev-parse" in argv:
            return f"{COMMIT}\n"
        if argv[1:3] == ("worktree", "add"):
            agent(Path(argv[5]))
        return ""

    def asked(self, word: str) -> int:
        return sum(word in argv for argv in self.ran)


def agent(folder: Path) -> Path:
    (folder / "reference_agent").mkdir(parents=True)
    (folder / "pyproject.toml").write_text("[project]\n")
    return folder


def sources(tmp_path: Path, programs: Programs, *, same_env: bool = False) -> Sources:
    return Sources(tmp_path / "trees", tmp_path / "cache", run=programs, same_env=same_env)


def test_a_folder_is_used_as_it_is_with_an_environment_built_once(tmp_path: Path) -> None:
    programs, folder = Programs(), agent(tmp_path / "mine")
    (tmp_path / "cache" / f"env-{fingerprint(folder)}").mkdir(parents=True)
    made = sources(tmp_path, programs).get(str(folder), "head")
    assert made.folder == folder
    assert made.env == {"PYTHONPATH": str(folder)}
    assert made.argv[1:] == ("-P", "-m", "reference_agent")
    assert (programs.asked("venv"), programs.asked("pip")) == (1, 1)
    sources(tmp_path, programs).get(str(folder), "head")
    assert programs.asked("venv") == 1
    assert programs.asked("worktree") == 0


def test_a_commit_is_checked_out_and_dropped_again(tmp_path: Path) -> None:
    programs = Programs()
    given = sources(tmp_path, programs, same_env=True)
    made = given.get("main", "base")
    assert made.label == "main (0123456789)"
    assert made.folder == tmp_path / "trees" / "base"
    given.drop()
    assert programs.ran[-1][1:3] == ("worktree", "remove")


def test_other_dependencies_ask_for_another_environment(tmp_path: Path) -> None:
    one, other = agent(tmp_path / "one"), agent(tmp_path / "other")
    assert fingerprint(one) == fingerprint(other)
    (other / "constraints.txt").write_text("openai==2.0\n")
    assert fingerprint(one) != fingerprint(other)


def test_words_that_are_neither_folder_nor_commit_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--base v9: is neither a folder nor a commit"):
        sources(tmp_path, Programs(failing="rev-parse")).get("v9", "base")


@pytest.mark.parametrize("words", ["", " ", "--upload-pack=x"])
def test_words_that_name_nothing_are_not_taken_for_the_folder_here(words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names no version"):
        sources(tmp_path, Programs()).get(words, "base")


def test_a_folder_without_an_agent_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has neither agentrig\.toml nor a reference_agent folder"):
        sources(tmp_path, Programs()).get(str(tmp_path), "head")


@pytest.mark.parametrize(
    ("failing", "said"), [("worktree", "can't be checked out"), ("pip", "can't be built: -m pip")]
)
def test_what_cannot_be_made_ready_says_why(tmp_path: Path, failing: str, said: str) -> None:
    with pytest.raises(StartError, match=said) as told:
        sources(tmp_path, Programs(failing=failing)).get("main", "base")
    assert "it broke" in str(told.value)


def test_an_environment_that_was_not_finished_is_built_again(tmp_path: Path) -> None:
    folder = agent(tmp_path / "mine")
    with pytest.raises(StartError):
        sources(tmp_path, Programs(failing="pip")).get(str(folder), "head")
    (tmp_path / "cache" / f"env-{fingerprint(folder)}").mkdir(parents=True)
    again = Programs()
    sources(tmp_path, again).get(str(folder), "head")
    assert again.asked("pip") == 1


def test_a_program_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="no-such-program"):
        run_program(("no-such-program",), tmp_path)


# --- a user's own agent ----------------------------------------------------------------
OWN = '[agent]\ncommand = ["./run"]\nsetup = ["make", "venv"]\nconcurrency_limit = 7\n'


def own_agent(folder: Path, text: str = OWN) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "agentrig.toml").write_text(text, "utf-8")
    return folder


def test_a_users_own_agent_is_set_up_and_started_as_its_file_says(tmp_path: Path) -> None:
    programs, folder = Programs(), own_agent(tmp_path / "bot")
    made = sources(tmp_path, programs).get(str(folder), "head")
    assert made.own is not None
    assert (made.own.argv, made.own.workdir, made.own.concurrency_limit) == (("./run",), folder, 7)
    assert programs.ran == [("make", "venv")]


def test_a_setup_that_fails_shows_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"head: \[agent\] setup failed") as told:
        sources(tmp_path, Programs(failing="venv")).get(str(own_agent(tmp_path / "bot")), "head")
    assert "it broke" in str(told.value)


def test_containers_that_run_already_are_no_version(tmp_path: Path) -> None:
    folder = own_agent(tmp_path / "bot", '[agent]\nurls = ["http://127.0.0.1:1"]\n')
    with pytest.raises(InputError, match="the gate needs a command or an image"):
        sources(tmp_path, Programs()).get(str(folder), "head")


def test_of_several_projects_in_a_repository_it_is_the_one_that_this_runs_in(tmp_path: Path) -> None:
    own_agent(tmp_path / "trees" / "base" / "services" / "bot")
    made = sources(tmp_path, Programs(inside="services/bot/")).get("main", "base")
    assert made.folder == tmp_path / "trees" / "base" / "services" / "bot"
