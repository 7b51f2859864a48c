"""Each container of a user's agent has the project's files, and what it writes for itself."""

from pathlib import Path

import pytest

from harness.errors import StartError
from harness.fleet.local import copies
from harness.fleet.local.copies import copy_project, program_in


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name in (
        "agent.py",
        "data/known.json",
        ".memory/turns",
        ".venv/bin/python",
        "env/pyvenv.cfg",
        "env/x.py",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_what_one_container_writes_no_other_finds(project: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "work" / "agent-1", tmp_path / "work" / "agent-2"
    for target in (one, other):
        copy_project(project, target)
    (one / "checkpoints.sqlite").write_text("a turn")
    (one / "data" / "known.json").write_text("changed")
    (one / ".memory" / "turns").write_text("a turn")
    assert not (other / "checkpoints.sqlite").exists()
    assert not (project / "checkpoints.sqlite").exists()
    assert (other / ".memory" / "turns").read_text() == ".memory/turns"
    assert (other / "data" / "known.json").read_text() == (project / "data" / "known.json").read_text()


def test_what_only_takes_room_is_linked(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "LARGE_BYTES", 100)
    (project / "model.bin").write_bytes(b"0" * 101)
    (project / "node_modules").mkdir()
    (project / "__pycache__").mkdir()
    copy_project(project, tmp_path / "copy")
    links = {path.name for path in (tmp_path / "copy").iterdir() if path.is_symlink()}
    assert links == {".venv", "env", "node_modules", "model.bin"}
    assert (tmp_path / "copy" / ".venv" / "bin" / "python").read_text() == ".venv/bin/python"
    assert not (tmp_path / "copy" / "__pycache__").exists()


def test_runs_and_the_copies_themselves_are_no_part_of_a_project(project: Path) -> None:
    for run in ("runs/one/plan.json", "out/gate.json"):
        (project / run).parent.mkdir(parents=True)
        (project / run).write_text("{}")
    first, second = (project / "work" / "folders" / name for name in ("agent-1", "agent-2"))
    copy_project(project, first)
    copy_project(project, second)
    assert {path.name for path in second.iterdir()} == {"agent.py", "data", ".memory", ".venv", "env", "runs"}
    assert not list((second / "runs").iterdir())


def test_links_lead_where_they_led(project: Path, tmp_path: Path) -> None:
    (tmp_path / "shared.txt").write_text("of others")
    (project / "inside").symlink_to("data/known.json")
    (project / "outside").symlink_to("../shared.txt")
    (project / "nowhere").symlink_to("gone")
    target = tmp_path / "deep" / "down" / "copy"
    copy_project(project, target)
    assert (target / "inside").resolve() == target / "data" / "known.json"
    assert (target / "outside").read_text() == "of others"
    assert (target / "nowhere").is_symlink()


def test_too_many_files_are_said_with_what_to_do(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "MOST_FILES", 2)
    with pytest.raises(StartError, match="own_folder = false"):
        copy_project(project, tmp_path / "copy")


def test_a_project_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be copied for a container"):
        copy_project(tmp_path / "gone", tmp_path / "copy")


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("python3", "python3"),
        ("./run", "./run"),
        (".venv/bin/python", ".venv/bin/python"),
        ("../venv/bin/python", "/home/me/venv/bin/python"),
        ("/usr/bin/env", "/usr/bin/env"),
    ],
)
def test_a_program_beside_the_project_is_found_from_its_copy(program: str, found: str) -> None:
    assert program_in((program, "agent.py"), Path("/home/me/project")) == (found, "agent.py")
