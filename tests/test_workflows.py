"""The workflows: every Python that is promised is tested, and who may publish is who has to."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RIGHTS = {"id-token", "attestations", "contents"}


def workflow(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text("utf-8"))
    return read


def runs(job: dict[str, Any]) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


def test_every_python_that_is_promised_is_tested() -> None:
    promised = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if "Python :: 3." in each]
    assert workflow("test.yml")["jobs"]["test"]["strategy"]["matrix"]["python"] == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_the_lowest_and_the_newest_set_are_tested_too() -> None:
    jobs = workflow("test.yml")["jobs"]
    assert {name for name in ("lowest", "newest") if f"make {name}" in runs(jobs[name])} == {
        "lowest",
        "newest",
    }


def test_a_pull_request_builds_all_that_a_release_has_and_publishes_nothing() -> None:
    told = workflow("release.yml")
    build, publish = told["jobs"]["build"], told["jobs"]["publish"]
    assert "if" not in build
    assert {"pull_request", "push"} == set(told[True])  # YAML takes `on` for true
    assert told["permissions"] == {"contents": "read"}
    assert "permissions" not in build
    assert publish["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert publish["needs"] == "build"
    assert set(publish["permissions"]) == RIGHTS
    used = [step["uses"].partition("@")[0] for step in publish["steps"] if "uses" in step]
    assert {"pypa/gh-action-pypi-publish", "actions/attest-build-provenance"} <= set(used)
    assert not re.search(
        r"password:|api-token|PYPI_TOKEN|secrets\.",
        (ROOT / ".github/workflows/release.yml").read_text("utf-8"),
    )


def test_what_the_build_runs_is_there() -> None:
    targets = set(re.findall(r"(?m)^([a-z.-]+):", (ROOT / "Makefile").read_text("utf-8")))
    text = "\n".join(
        runs(job) for name in ("release.yml", "test.yml") for job in workflow(name)["jobs"].values()
    )
    assert set(re.findall(r"make ([a-z]+)", text)) <= targets
    assert all((ROOT / file).is_file() for file in re.findall(r"(?:tests|\.ci)/[\w/]+\.py", text))
