"""The GitHub Action, its steps run as a runner runs them, in a repository of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.gate.ending import Ending
from tests.e2e.github_api import GitHubApi, github_api
from tests.e2e.github_runner import ROOT, Job, action, run_action

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
NAMES = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b.c",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b.c",
}
OWN = f'[agent]\ncommand = ["{sys.executable}", "agent.py"]\n'


@pytest.fixture
def api() -> Iterator[GitHubApi]:
    with github_api() as served:
        yield served


def git(folder: Path, *words: str) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), **NAMES}
    return subprocess.check_output(("git", *words), cwd=folder, env=env, text=True).strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A first pull request: base has no agent at all, and head one that says why it does not start."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    (folder / "README.md").write_text("nothing yet\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "base")
    git(folder, "checkout", "--quiet", "-b", "change")
    (folder / "agentrig.toml").write_text(OWN)
    (folder / "agent.py").write_text("raise SystemExit('no key to the model')\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "head")
    return folder


def installed(temp: Path) -> Path:
    """Return the folder of a job in which the program is, as if the Action had installed it."""
    program = temp / "agentrig" / "bin" / "agentrig"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m harness "$@"\n')
    program.chmod(0o755)
    return temp


def job(repository: Path, temp: Path, api: GitHubApi, **inputs: str) -> Job:
    """Run the Action for a push to the pull request, all but its installation."""
    base = git(repository, "rev-list", "--max-parents=0", "HEAD")
    event = {"pull_request": {"number": 7, "base": {"sha": base}}}
    return run_action(
        repository, installed(temp), inputs=inputs, event=event, api_url=api.url, skip=["install"]
    )


def test_a_base_that_has_no_agent_yet_is_told_and_the_one_comment_is_edited_at_the_next_push(
    repository: Path, tmp_path: Path, api: GitHubApi
) -> None:
    api.limited = 1
    first = job(repository, tmp_path / "first", api)
    assert first.code == 0, first.printed
    assert first.annotations[0].startswith("::warning title=agentrig gate::no verdict: base (")
    assert "did not start" in first.annotations[0]
    (said,) = api.comments
    assert "started as agentrig.toml of" in said["body"]
    assert "can't open file" in said["body"]
    assert "[The whole report](https://github.test/" in said["body"]
    assert said["body"].split("\n", 1)[1].startswith(first.summary[:200])
    assert api.tokens == {"Bearer ghs_of_this_job"}
    second = job(repository, tmp_path / "second", api, **{"on-unknown": "fail", "base": "v9"})
    assert second.code == 3
    assert [each["id"] for each in api.comments] == [said["id"]]
    assert "--base v9: is neither a folder nor a commit" in api.comments[0]["body"]


def test_a_fork_cannot_comment_and_its_verdict_stands(
    repository: Path, tmp_path: Path, api: GitHubApi
) -> None:
    api.may_write = False
    done = job(repository, tmp_path / "temp", api, base="v9")
    assert done.code == 3
    assert any("the token of this job may not write one" in line for line in done.annotations)
    assert "--base v9" in done.summary
    assert not api.comments


def test_a_shallow_clone_is_told_what_to_do_and_nothing_is_expanded(
    repository: Path, tmp_path: Path, api: GitHubApi
) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", str(shallow))
    word = "$(touch pwned);`touch pwned`"
    done = job(shallow, tmp_path / "temp", api, base=word, experiments="a;touch pwned", tolerances="$(id)")
    assert done.code == 3
    assert not list(tmp_path.rglob("pwned"))
    done = job(shallow, tmp_path / "again", api, base="origin/main")
    assert done.code == 3
    assert "`fetch-depth: 0`" in done.summary.replace("\\", "")


def test_what_a_merge_stands_beside_is_its_base(repository: Path, tmp_path: Path, api: GitHubApi) -> None:
    git(repository, "checkout", "--quiet", "main")
    stale = git(repository, "rev-parse", "main")
    (repository / "agentrig.toml").write_text('[agent]\nurls = ["http://127.0.0.1:9"]\n')
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "base goes on")
    newer = git(repository, "rev-parse", "main")
    git(repository, "merge", "--quiet", "--no-ff", "-s", "ours", "-m", "merge", "change")
    event = {"pull_request": {"number": 7, "base": {"sha": stale}}}
    temp = installed(tmp_path / "temp")
    done = run_action(repository, temp, inputs={}, event=event, api_url=api.url, skip=["install"])
    assert f"--base {newer}" in done.summary


def test_a_merge_that_was_pushed_is_compared_with_what_was_there_before_the_push(
    repository: Path, tmp_path: Path, api: GitHubApi
) -> None:
    """Its first parent may be the branch that was merged into, which is not what stood there before."""
    before = git(repository, "rev-parse", "main")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "more")
    git(repository, "checkout", "--quiet", "main")
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "base goes on")
    git(repository, "checkout", "--quiet", "change")
    git(repository, "merge", "--quiet", "--no-ff", "-m", "merge", "main")
    (repository / "agentrig.toml").write_text("[agent]\nurls = ['http://127.0.0.1:9']\n")
    git(repository, "commit", "--quiet", "--all", "--amend", "-m", "merge")
    done = run_action(
        repository,
        installed(tmp_path / "temp"),
        inputs={},
        event={"before": before},
        api_url=api.url,
        skip=["install"],
        event_name="push",
    )
    assert f"--base {before}" in done.summary


# --- other CIs ---------------------------------------------------------------------------
def plain(
    folder: Path, script: str, ending: Ending, *, variables: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run the lines of a CI as it does, with a gate that ends so; return the status and what was printed."""
    ending.write(folder)
    (folder / "summary.md").write_text("## what it says\n")
    programs = folder / "bin"
    programs.mkdir()
    gate = (
        f'mkdir gate && cp ../outcome.json ../summary.md gate && echo "asked: $*" && exit {ending.exit_code}'
    )
    for name, body in (("pip", "exit 0"), ("agentrig", gate)):
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    work = folder / "work"
    (work / "gate").mkdir(parents=True)  # of the job before
    env = {"PATH": f"{programs}:{os.environ['PATH']}", **(variables or {})}
    done = subprocess.run(
        ("sh", "-e", "-c", script), cwd=work, env=env, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("code", "side", "ends"),
    [(0, None, 0), (1, None, 1), (2, None, 2), (4, "base", 2), (4, "head", 4), (3, None, 3)],
)
def test_the_gitlab_job_tells_and_ends_as_the_action_does(
    tmp_path: Path, code: int, side: str | None, ends: int
) -> None:
    script = "\n".join(gitlab()["script"])
    of_diff = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": "d1ff", "CI_COMMIT_SHA": "c0de"}
    ending = Ending(exit_code=code, title="t", side=side)
    ended, said = plain(tmp_path, script, ending, variables=of_diff)
    assert ended == ends, said
    assert "asked: gate --base d1ff --head c0de --config-from head --out gate" in said
    assert "## what it says" in said


def test_the_gitlab_job_compares_a_merged_result_with_its_target(tmp_path: Path) -> None:
    merged = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": "d1ff", "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": "7a26e7"}
    _, said = plain(tmp_path, "\n".join(gitlab()["script"]), Ending(exit_code=0, title="t"), variables=merged)
    assert "--base 7a26e7 " in said


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5])
def test_the_plain_commands_tell_what_came_out_and_end_so(tmp_path: Path, code: int) -> None:
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    script = page.split("### Any other", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    ended, said = plain(tmp_path, f"rm -rf gate\n{script}", Ending(exit_code=code, title="t"))
    assert ended == code, said
    assert "## what it says" in said


@pytest.mark.parametrize("code", [0, 1, 2, 4])
def test_the_plain_commands_of_a_run_show_its_words_also_where_it_did_not_hold(
    tmp_path: Path, code: int
) -> None:
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    script = page.split("## Does it hold?", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    told = 'mkdir agentrig-run && echo "## what it says" > agentrig-run/summary.md'
    run = f'[ "$1" = doctor ] || {{ {told}; exit {code}; }}'
    for name, body in (("pip", "exit 0"), ("agentrig", run)):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    shell = ("sh", "-e", "-c", script)
    done = subprocess.run(shell, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "## what it says\n"), done.stderr


# --- the files themselves ----------------------------------------------------------------
def gitlab() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "ci" / "gitlab-ci.yml").read_text("utf-8"))
    job: dict[str, Any] = read["agentrig-gate"]
    return job


def test_no_reference_is_expanded_in_a_shell_and_only_the_last_step_has_the_token() -> None:
    steps = [step for step in action()["runs"]["steps"] if "run" in step]
    assert all("${{" not in step["run"] for step in steps)
    assert [step["id"] for step in steps if "token" in yaml.safe_dump(step.get("env", {}))] == ["tell"]


def test_the_workflow_asks_for_no_more_than_it_needs_and_names_inputs_that_there_are() -> None:
    text = (ROOT / ".github" / "workflows" / "gate.yml").read_text("utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert "pull_request_target" not in text
    assert workflow["concurrency"]["cancel-in-progress"] is True
    checkout, gate = workflow["jobs"]["gate"]["steps"]
    assert checkout["with"] == {"fetch-depth": 0, "persist-credentials": False}
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    named = set(re.findall(r"^ {10}([a-z-]+): ", page.split("uses: OWNER/agentrig@v1", 1)[1], re.MULTILINE))
    assert named
    assert named | set(gate.get("with", {})) <= action()["inputs"].keys()


def test_the_gitlab_template_waits_for_no_unknown() -> None:
    job = gitlab()
    assert job["allow_failure"] == {"exit_codes": [2]}
    assert job["artifacts"]["when"] == "always"
    assert job["variables"]["GIT_DEPTH"] == "0"
