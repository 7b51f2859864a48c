"""The Action's steps, run as a runner runs them: bash of each, with GitHub's files and variables.

Other people's actions (`uses`) are not run: what they would put out is given.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
OF_OTHERS = {
    "python": {"python-path": sys.executable},
    "report": {"artifact-url": "https://github.test/o/r/actions/runs/1/artifacts/2"},
}
PLAIN_BIN = "/usr/local/bin:/usr/bin:/bin"


def action() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    return read


@dataclass
class Job:
    """What a job of one push came to.

    Attributes:
        code: of the step that failed, 0 when none did.
        printed: by the steps, annotations among it.
        summary: of the job.
        outputs: of each step by its id.
        ran: the steps that ran, in order.
    """

    code: int = 0
    printed: str = ""
    summary: str = ""
    outputs: dict[str, dict[str, str]] = field(default_factory=lambda: {**OF_OTHERS})
    ran: list[str] = field(default_factory=list)

    @property
    def annotations(self) -> list[str]:
        return [line for line in self.printed.splitlines() if line.startswith("::")]


def run_action(
    workspace: Path,
    temp: Path,
    *,
    inputs: Mapping[str, str],
    event: Mapping[str, Any],
    api_url: str,
    skip: Sequence[str] = (),
    event_name: str = "pull_request",
) -> Job:
    """Run the Action in a checkout.

    Args:
        workspace: the checkout.
        temp: for the runner's files; with `agentrig/bin/agentrig` in it where `install` is skipped.
        inputs: of the workflow.
        event: what happened.
        api_url: of GitHub's API.
        skip: ids of steps that are not run.
        event_name: what kind of event it was.
    """
    described, job = action(), Job()
    given = {name: str(each.get("default", "")) for name, each in described["inputs"].items()}
    known: dict[str, Any] = {
        "github": {"event": event, "action_path": str(ROOT), "token": "ghs_of_this_job"},
        "steps": {},
        "inputs": {},
    }
    known["inputs"] = {name: evaluate(text, known, job) for name, text in (given | dict(inputs)).items()}
    for step in described["runs"]["steps"]:
        if "run" not in step or step["id"] in skip:
            continue
        always = "always()" in str(step.get("if", ""))
        if job.code and not always:
            continue
        env = {name: evaluate(str(text), known, job) for name, text in step.get("env", {}).items()}
        code = _run(
            step, env, job, workspace=workspace, temp=temp, event=(event_name, event), api_url=api_url
        )
        job.code = job.code or code
    return job


def _run(
    step: Mapping[str, Any],
    env: Mapping[str, str],
    job: Job,
    *,
    workspace: Path,
    temp: Path,
    event: tuple[str, Mapping[str, Any]],
    api_url: str,
) -> int:
    temp.mkdir(parents=True, exist_ok=True)
    script, files = temp / f"{step['id']}.sh", {}
    script.write_text(step["run"], "utf-8")
    for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"):
        files[name] = temp / f"{name.lower()}-{step['id']}"
        files[name].write_text("")
    (temp / "event.json").write_text(json.dumps(event[1]), "utf-8")
    sha = subprocess.check_output(("git", "rev-parse", "HEAD"), cwd=workspace, text=True).strip()
    told = {
        "PATH": f"{Path(sys.executable).parent}:{PLAIN_BIN}",
        "HOME": os.environ.get("HOME", str(temp)),
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": api_url,
        "GITHUB_EVENT_PATH": str(temp / "event.json"),
        "GITHUB_EVENT_NAME": event[0],
        "GITHUB_REPOSITORY": "o/r",
        "GITHUB_SHA": sha,
        "GITHUB_WORKSPACE": str(workspace),
        "RUNNER_TEMP": str(temp),
        **{name: str(path) for name, path in files.items()},
        **{name: os.environ[name] for name in ("XDG_CACHE_HOME", "PIP_INDEX_URL") if name in os.environ},
    }
    bash = shutil.which("bash") or "/bin/bash"
    done = subprocess.run(
        (bash, "--noprofile", "--norc", "-eo", "pipefail", str(script)),
        cwd=workspace,
        env=told | dict(env),
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    job.ran.append(step["id"])
    job.printed += done.stdout + done.stderr
    job.summary += files["GITHUB_STEP_SUMMARY"].read_text("utf-8")
    lines = files["GITHUB_OUTPUT"].read_text("utf-8").splitlines()
    job.outputs[step["id"]] = dict(line.split("=", 1) for line in lines)
    return done.returncode


def evaluate(text: str, known: Mapping[str, Any], job: Job) -> str:
    """Fill in expressions: names with dots, and `||` between them."""

    def value(found: re.Match[str]) -> str:
        for name in found[1].split("||"):
            if name.strip() and (got := _named(name.strip(), known, job)):
                return got
        return ""

    return EXPRESSION.sub(value, text)


def _named(name: str, known: Mapping[str, Any], job: Job) -> str:
    if name.startswith("steps."):
        _, step, _, output = name.split(".")
        return job.outputs.get(step, {}).get(output, "")
    found: Any = known
    for part in name.split("."):
        found = found.get(part, "") if isinstance(found, Mapping) else ""
    return str(found)
