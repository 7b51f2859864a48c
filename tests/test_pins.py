"""What others run for us is what was looked at: actions by commit, base images by digest."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ACTIONS = [ROOT / "action.yml", *sorted((ROOT / ".github" / "workflows").glob("*.yml"))]
IMAGES = [ROOT / "Dockerfile", ROOT / "dashboards" / "harness.Dockerfile"]
PINNED = re.compile(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def loose(text: str) -> list[str]:
    """Return the lines that use an action which may change."""
    lines = [
        line.strip().removeprefix("- ") for line in text.splitlines() if not line.strip().startswith("#")
    ]
    used = [line for line in lines if line.startswith("uses: ") and line != "uses: ./"]
    return [line for line in used if not PINNED.fullmatch(line)]


@pytest.mark.parametrize("file", ACTIONS, ids=lambda file: file.name)
def test_each_action_is_pinned_by_its_commit_with_its_version_beside_it(file: Path) -> None:
    assert loose(file.read_text("utf-8")) == []


def test_one_that_may_change_is_found() -> None:
    assert loose("  - uses: actions/checkout@v4\n  # uses: a/b@v1\n  - uses: ./\n") == [
        "uses: actions/checkout@v4"
    ]


@pytest.mark.parametrize("file", IMAGES, ids=lambda file: file.name)
def test_each_base_image_is_pinned_by_its_digest(file: Path) -> None:
    bases = re.findall(r"^FROM (\S+)", file.read_text("utf-8"), re.MULTILINE)
    assert bases
    assert not [
        base for base in bases if not re.fullmatch(r"python:3\.\d+\.\d+-[\w-]+@sha256:[0-9a-f]{64}", base)
    ]
