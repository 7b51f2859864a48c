"""A release is one command, on a copy of what of the repository it touches; what is none is refused."""

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
NAMES = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "a"), ("EMAIL", "a@b.c"))
}
TODAY = dt.datetime.now(dt.UTC).date().isoformat()
CHANGELOG = "# Changelog\n\n## 0.1.0 (unreleased)\n\n- It is there.\n- And this:\n  `# it`.\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    for name in ("pyproject.toml", "harness/__init__.py", ".ci/release.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    for name in ("pyproject.toml", "harness/__init__.py"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(current(), "0.1.0", 1))
    (folder / "CHANGELOG.md").write_text(CHANGELOG)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


def current() -> str:
    (line,) = [
        each for each in (ROOT / "harness/__init__.py").read_text().splitlines() if "__version__" in each
    ]
    return line.split('"')[1]


def env(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **NAMES}


def git(folder: Path, *words: str) -> str:
    return subprocess.check_output(("git", *words), cwd=folder, env=env(folder), text=True).strip()


def release(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, ".ci/release.py", *words],
        cwd=folder,
        env=env(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_version_changelog_and_tag_are_one_command_and_the_next_must_be_newer(copy: Path) -> None:
    code, said = release(copy, "0.1.0")
    assert code == 0, said
    assert "git push" in said
    (copy / "CHANGELOG.md").write_text(
        (copy / "CHANGELOG.md")
        .read_text()
        .replace("# Changelog\n", "# Changelog\n\n## next (unreleased)\n\n- More.\n")
    )
    git(copy, "commit", "--quiet", "--all", "--message", "more")
    for older in ("0.1.0", "0.0.9"):
        code, said = release(copy, older)
        assert (code, "is not newer than 0.1.0, which was released" in said) == (3, True)
    code, said = release(copy, "0.2.0rc1")
    assert code == 0, said
    assert git(copy, "tag", "--list").split() == ["v0.1.0", "v0.2.0rc1"]
    assert git(copy, "log", "--format=%s", "-1") == "Release 0.2.0rc1"
    assert 'version = "0.2.0rc1"' in (copy / "pyproject.toml").read_text()
    assert '__version__ = "0.2.0rc1"' in (copy / "harness/__init__.py").read_text()
    changelog = (copy / "CHANGELOG.md").read_text()
    assert changelog.startswith(f"# Changelog\n\n## 0.2.0rc1 ({TODAY})\n\n- More.\n\n## 0.1.0 ({TODAY})\n")
    assert git(copy, "tag", "--list", "--format=%(contents)", "v0.1.0") == (
        "agentrig 0.1.0\n\n- It is there.\n- And this:\n  `# it`."
    )
    assert release(copy, "--notes", "0.1.0") == (0, "- It is there.\n- And this:\n  `# it`.\n")
    assert not git(copy, "status", "--porcelain")


@pytest.mark.parametrize(
    ("file", "text", "version", "said"),
    [
        ("new.txt", "new", "0.1.0", "there are changes in no commit"),
        ("", "", "0.0.9", "0.0.9 is older than 0.1.0, which pyproject.toml says"),
        ("", "", "new", "'new' is no version"),
        ("CHANGELOG.md", "# Changelog\n\n## 0.1.0 (unreleased)\n\n", "0.1.0", "its newest section is empty"),
        (
            "CHANGELOG.md",
            "# Changelog\n\n## 0.1.0 (2026-01-01)\n\n- A.\n",
            "0.1.0",
            "does not begin with a section",
        ),
    ],
)
def test_what_is_no_release_is_refused_and_changes_nothing(
    copy: Path, file: str, text: str, version: str, said: str
) -> None:
    if file:
        (copy / file).write_text(text)
    if file == "CHANGELOG.md":
        git(copy, "commit", "--quiet", "--all", "--message", "a changelog")
    before = git(copy, "status", "--porcelain"), git(copy, "rev-parse", "HEAD")
    code, told = release(copy, version)
    assert (code, said in told) == (3, True), told
    assert (git(copy, "status", "--porcelain"), git(copy, "rev-parse", "HEAD")) == before
    assert not git(copy, "tag", "--list")
