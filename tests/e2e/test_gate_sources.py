"""Versions out of a real repository in the states that repositories are in."""

import subprocess
from pathlib import Path

import pytest

from harness.errors import InputError, StartError
from harness.gate.bisect import commits_between
from harness.gate.source import Sources, run_program, temporary_sources
from tests.e2e.test_action import NAMES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with three commits of an agent on `main`, that is the present folder."""
    for name, value in {**NAMES, "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    git("init", "--quiet", "--initial-branch", "main")
    (folder / "agentrig.toml").write_text('[agent]\ncommand = ["./run"]\n')
    for number in (1, 2, 3):
        commit(f"{number}")
    return folder


def git(*words: str, folder: Path | None = None) -> str:
    return subprocess.check_output(("git", *words), cwd=folder, text=True).strip()


def commit(text: str) -> str:
    Path("run").write_text(text)
    git("add", ".")
    git("commit", "--quiet", "-m", text)
    return git("rev-parse", "HEAD")


def got(words: str) -> str:
    """Return what the agent of a version is, as it is checked out; its checkout is gone after."""
    with temporary_sources(lambda _: None, same_env=True) as sources:
        text = (sources.get(words, "base").folder / "run").read_text()
    assert len(git("worktree", "list").splitlines()) == 1
    return text


def test_what_is_not_committed_has_no_part_in_a_commit_and_all_in_the_folder(repository: Path) -> None:
    (repository / "run").write_text("dirty")
    assert got("main") == "3"
    assert got(".") == "dirty"
    git("checkout", "--quiet", "--force", "--detach", "HEAD~1")
    assert got("HEAD") == "2"


@pytest.mark.parametrize(
    "name", ["a;touch$IFS-pwned", "$(touch,pwned)", "`touch`", "ü/ñ%0a,,error", "<b>|@a"]
)
def test_a_branch_may_be_named_as_git_allows(repository: Path, name: str) -> None:
    git("branch", "--", name, "main~1")
    assert got(name) == "2"
    assert sorted(each.name for each in repository.iterdir()) == [".git", "agentrig.toml", "run"]


def test_a_folder_that_is_named_as_base_is_not_taken_for_it(repository: Path) -> None:
    base = git("rev-parse", "main~1")
    for name in (base, "main"):
        (repository / name).mkdir()
        (repository / name / "agentrig.toml").write_text('[agent]\ncommand = ["sleep", "9"]\n')
        with pytest.raises(InputError, match="is a folder and a commit"):
            got(name)
    assert got("refs/heads/main") == "3"
    assert got(f"{base}^0") == "2"


def test_a_checkout_that_was_locked_is_removed(repository: Path) -> None:
    with temporary_sources(lambda _: None, same_env=True) as sources:
        git("worktree", "lock", str(sources.get("main", "base").folder))
    assert len(git("worktree", "list").splitlines()) == 1


def test_submodules_are_checked_out_where_those_here_are(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"COUNT": "1", "KEY_0": "protocol.file.allow", "VALUE_0": "always"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    other = tmp_path / "other"
    git("clone", "--quiet", str(repository), str(other))
    git("submodule", "--quiet", "add", str(other), "part")
    commit("4")
    with temporary_sources(lambda _: None, same_env=True) as sources:
        assert (sources.get("main", "base").folder / "part" / "run").read_text() == "3"
    assert len(git("worktree", "list").splitlines()) == 1
    other.rename(tmp_path / "gone")
    with (
        pytest.raises(StartError, match="the submodules of main can't be checked out"),
        temporary_sources(lambda _: None, same_env=True) as sources,
    ):
        sources.get("main", "base")
    git("submodule", "--quiet", "deinit", "--force", "--all")
    assert got("main") == "4"


def test_the_commits_of_a_merge_are_its_first_parents_and_the_good_one_is_before_them(
    repository: Path,
) -> None:
    good = git("rev-parse", "HEAD")
    git("checkout", "--quiet", "-b", "side")
    commit("side")
    git("checkout", "--quiet", "main")
    (repository / "other").write_text("x")
    onward = commit("3")
    git("merge", "--quiet", "--no-ff", "-m", "merge", "side")
    merge = git("rev-parse", "HEAD")
    assert commits_between(good, "main", run_program) == [onward, merge]
    with pytest.raises(
        InputError, match=f"does not come from side: {onward[:10]} is the first on it that side"
    ):
        commits_between("side", "main", run_program)


def test_in_a_shallow_clone_it_is_told_what_to_do(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = git("rev-parse", "main~2")
    shallow = tmp_path / "shallow"
    git("clone", "--quiet", "--depth", "1", f"file://{repository}", str(shallow))
    monkeypatch.chdir(shallow)
    with pytest.raises(InputError, match=r"this clone is shallow.*`fetch-depth: 0`"):
        Sources(tmp_path / "trees", tmp_path / "cache").get(first, "base")
    with pytest.raises(InputError, match=r"this clone is shallow.*`fetch-depth: 0`"):
        commits_between(first, "main", run_program)
