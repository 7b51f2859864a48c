"""A version to be measured: a folder, or a commit with an environment of its own."""

import os
from collections.abc import Callable, Sequence
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


def test_a_checkout_that_cannot_be_removed_costs_no_verdict(tmp_path: Path) -> None:
    programs = Programs(failing="remove")
    given = sources(tmp_path, programs, same_env=True)
    tree = given.get("main", "base").folder
    given.drop()
    assert not tree.exists()
    assert programs.ran[-1][1:3] == ("worktree", "prune")


@pytest.mark.parametrize("made", [False, True])
def test_a_word_that_is_a_folder_and_a_commit_is_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, made: bool
) -> None:
    """A pull request that has a folder named as base's commit would else choose what it is held against."""
    monkeypatch.chdir(tmp_path)
    agent(tmp_path / COMMIT)
    assert sources(tmp_path, Programs(), same_env=True).get(f"./{COMMIT}", "base").label == COMMIT
    programs = Programs(failing="" if made else "rev-parse")
    if not made:
        assert sources(tmp_path, programs, same_env=True).get(COMMIT, "base").folder == tmp_path / COMMIT
        return
    with pytest.raises(InputError, match=rf"{COMMIT}: is a folder and a commit \(0123456789\) as well"):
        sources(tmp_path, programs).get(COMMIT, "base")


def test_a_word_that_is_longer_than_a_name_may_be_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is neither a folder nor a commit"):
        sources(tmp_path, Programs(failing="rev-parse")).get("x" * 5000, "base")


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


def test_an_environment_whose_interpreter_has_gone_is_built_again(tmp_path: Path) -> None:
    folder = agent(tmp_path / "mine")
    environment = tmp_path / "cache" / f"env-{fingerprint(folder)}"
    (environment / "bin").mkdir(parents=True)
    (environment / ".ready").touch()
    (environment / "bin" / "python").symlink_to(tmp_path / "python3.11")
    programs = Programs()
    (tmp_path / "python3.11").touch()
    sources(tmp_path, programs).get(str(folder), "head")
    assert programs.asked("venv") == 0
    (tmp_path / "python3.11").unlink()
    sources(tmp_path, programs).get(str(folder), "head")
    assert programs.asked("venv") == 1


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


# --- the first time ---------------------------------------------------------------------
class Shallow(Programs):
    """A clone that has the newest commit alone."""

    def __call__(self, argv: Sequence[str], folder: Path) -> str:
        if "--is-shallow-repository" in argv:
            return "true\n"
        return super().__call__(argv, folder)


def test_a_shallow_clone_is_told_how_to_get_the_rest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"shallow.*`fetch-depth: 0`"):
        sources(tmp_path, Shallow(failing="--quiet")).get("origin/main", "base")


def test_a_base_without_a_file_is_started_as_heads_says_where_that_is_asked(tmp_path: Path) -> None:
    (tmp_path / "trees" / "base").mkdir(parents=True)
    text = f'{OWN}[request]\nprompts = "prompts.txt"\n'
    head_folder = own_agent(tmp_path / "bot", text)
    (head_folder / "prompts.txt").write_text("What now?\n")
    programs = Programs()
    given = Sources(tmp_path / "trees", tmp_path / "cache", run=programs)
    head = given.get(str(head_folder), "head")
    bare = tmp_path / "bare"
    bare.mkdir()
    with pytest.raises(InputError, match="`--config-from head` starts a base"):
        given.get(str(bare), "base")
    base = given.get(str(bare), "base", like=head)
    assert base.own is not None
    assert (base.own.workdir, base.own.request.prompts) == (bare, ("What now?",))
    assert "started as agentrig.toml of bot says" in base.label
    assert programs.asked("venv") == 2


def test_a_base_with_a_file_of_its_own_keeps_it(tmp_path: Path) -> None:
    given = sources(tmp_path, Programs())
    head = given.get(str(own_agent(tmp_path / "head")), "head")
    base_folder = own_agent(tmp_path / "base", OWN.replace("7", "9"))
    base = given.get(str(base_folder), "base", like=head)
    assert base.own is not None
    assert base.own.concurrency_limit == 9


# --- what the setup makes ----------------------------------------------------------------
NEEDS = OWN + 'setup_needs = ["requirements.txt", "tools/build.sh"]\n'


class Building(Programs):
    """A setup that makes an environment of the folder that it runs in."""

    def __call__(self, argv: Sequence[str], folder: Path) -> str:
        if "venv" in argv:
            (folder / ".venv").mkdir()
            (folder / ".venv" / "made-of").write_text((folder / "requirements.txt").read_text())
            (folder / ".venv" / "saw").write_text(" ".join(sorted(each.name for each in folder.rglob("*"))))
        return super().__call__(argv, folder)


def needing(folder: Path, requirements: str) -> Path:
    own_agent(folder, NEEDS)
    (folder / "tools").mkdir()
    (folder / "tools" / "build.sh").write_text("make")
    (folder / "agent.py").write_text(f"# {folder.name}")
    (folder / "requirements.txt").write_text(requirements)
    return folder


def test_a_setup_runs_once_for_the_same_dependencies_and_sees_nothing_else(tmp_path: Path) -> None:
    programs = Building()
    given = sources(tmp_path, programs)
    one, two, other = (
        needing(tmp_path / name, text) for name, text in (("one", "a==1"), ("two", "a==1"), ("other", "a==2"))
    )
    for folder in (one, two, other):
        given.get(str(folder), "head")
    assert programs.asked("venv") == 2
    assert (one / ".venv").resolve() == (two / ".venv").resolve() != (other / ".venv").resolve()
    assert (other / ".venv" / "made-of").read_text() == "a==2"
    assert (one / ".venv" / "saw").read_text() == ".venv build.sh made-of requirements.txt tools"
    (one / "requirements.txt").write_text("a==2")
    given.get(str(one), "head")
    assert (one / ".venv").resolve() == (other / ".venv").resolve()
    assert programs.asked("venv") == 2


def test_a_setup_that_failed_runs_again(tmp_path: Path) -> None:
    folder = needing(tmp_path / "one", "a==1")
    with pytest.raises(StartError, match=r"\[agent\] setup failed"):
        sources(tmp_path, Programs(failing="venv")).get(str(folder), "head")
    again = Building()
    sources(tmp_path, again).get(str(folder), "head")
    assert again.asked("venv") == 1


def test_a_setup_whose_interpreter_has_gone_runs_again(tmp_path: Path) -> None:
    folder, programs = needing(tmp_path / "one", "a==1"), Building()
    given = sources(tmp_path, programs)
    made = given.get(str(folder), "head").folder / ".venv" / "bin"
    made.mkdir()
    (made / "python").symlink_to(tmp_path / "gone")
    given.get(str(folder), "head")
    assert programs.asked("venv") == 2
    given.get(str(folder), "head")
    assert programs.asked("venv") == 2


def test_a_file_that_a_setup_needs_and_that_is_not_there_is_told(tmp_path: Path) -> None:
    folder = needing(tmp_path / "one", "a==1")
    (folder / "requirements.txt").unlink()
    with pytest.raises(StartError, match=r"^head: .*requirements\.txt: cannot be used: No such file"):
        sources(tmp_path, Programs()).get(str(folder), "head")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml", "constraints.txt"])
def test_a_list_of_dependencies_that_never_ends_is_told(tmp_path: Path, name: str) -> None:
    folder = needing(tmp_path / "one", "a==1") if name == "requirements.txt" else agent(tmp_path / "one")
    (folder / name).unlink(missing_ok=True)
    makes: list[Callable[[Path], None]] = [os.mkfifo, lambda file: file.symlink_to("/dev/zero")]
    for make in makes:
        make(folder / name)
        with pytest.raises(StartError, match=rf"^head: .*{name}: cannot be used: it is no regular file"):
            sources(tmp_path, Programs()).get(str(folder), "head")
        (folder / name).unlink()


def test_what_is_in_ones_own_folder_already_stays(tmp_path: Path) -> None:
    folder = needing(tmp_path / "one", "a==1")
    (folder / ".venv").mkdir()
    said: list[str] = []
    Sources(tmp_path / "trees", tmp_path / "cache", run=Building(), on_phase=said.append).get(
        str(folder), "head"
    )
    assert not (folder / ".venv").is_symlink()
    assert said[-1] == "head: .venv is there already, and is used as it is"


def test_a_folder_that_base_has_not_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"base \(main .*\) has no folder bot: nothing to start"):
        sources(tmp_path, Programs(inside="services/bot/")).get("main", "base")
