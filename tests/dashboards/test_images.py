"""The two images: any builder makes them, and what they copy reaches it."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = (ROOT / "Dockerfile", ROOT / "dashboards" / "harness.Dockerfile")
EACH = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
BUILDKIT = re.compile(r"^# *syntax=|--mount=|--chmod|--link|<<[A-Z]", re.MULTILINE)


def copied(file: Path) -> list[str]:
    """What comes from the checkout."""
    lines = re.findall(r"^COPY (.*)$", file.read_text("utf-8"), re.MULTILINE)
    return [word for line in lines if "--from=" not in line for word in line.split()[:-1]]


@EACH
def test_what_is_copied_is_there_and_not_ignored(file: Path) -> None:
    assert copied(file)
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored
    for name in copied(file):
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored


@EACH
def test_it_needs_no_buildkit(file: Path) -> None:
    """An older `docker build`, and Podman's, would fail at it, or copy what BuildKit would ignore."""
    assert not BUILDKIT.search(file.read_text("utf-8"))
    assert not file.with_name(f"{file.name}.dockerignore").exists()


def test_each_program_that_is_started_from_a_folder_of_scenarios_finds_it() -> None:
    harness = FILES[1].read_text("utf-8")
    assert "WORKDIR /app\n" in harness
    assert 'ln -s "$(agentrig locustfiles)" locustfiles' in harness, "as they are installed: one source"
    commands = [yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["locust"]["command"]]
    for name in ("master", "workers"):
        told = (ROOT / "dashboards" / "kubernetes" / "locust" / f"{name}.yaml").read_text("utf-8")
        deployment = next(yaml.safe_load_all(told))
        commands += [each["command"] for each in deployment["spec"]["template"]["spec"]["containers"]]
    assert {command[command.index("-f") + 1] for command in commands} <= {"locustfiles", "/app/locustfiles"}
