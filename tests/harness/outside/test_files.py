"""What is written in the place of what is no regular file."""

import os
from pathlib import Path

import pytest

from harness.commands.main import call
from harness.errors import ExitCode, StartError
from harness.gate.history import add
from harness.outside.files import open_to_append, write_named, write_whole
from harness.run.folder import RunFolder
from tests.harness.gate.test_history import CALM


@pytest.mark.timeout(20)
def test_a_pipe_stays_one_and_nothing_waits_for_its_reader(tmp_path: Path) -> None:
    pipe = tmp_path / "verdict.json"
    os.mkfifo(pipe)
    for write in (write_whole, write_named):
        with pytest.raises(OSError, match="it is no regular file"):
            write(pipe, b"new")
    with pytest.raises(StartError, match=r"verdict\.json: cannot be written to: it is no regular file"):
        RunFolder(tmp_path).write("verdict.json", "new")
    with pytest.raises(OSError, match="No such device or address"):
        open_to_append(pipe)
    assert pipe.is_fifo()
    assert [file.name for file in tmp_path.iterdir()] == ["verdict.json"]


def test_a_link_that_somebody_named_stays_and_one_in_a_folder_of_ours_is_replaced(tmp_path: Path) -> None:
    link, target = tmp_path / "stdout", tmp_path / "target"
    target.write_text("precious")
    link.symlink_to(target)
    with pytest.raises(OSError, match="it is no regular file"):
        write_named(link, b"new")
    assert link.is_symlink()
    write_whole(link, b"new")
    assert (link.read_bytes(), link.is_symlink(), target.read_text()) == (b"new", False, "precious")


def test_a_file_that_is_there_or_not_is_written(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        write_named(tmp_path / "page", content)
        assert (tmp_path / "page").read_bytes() == content


def test_a_command_leaves_a_device_that_is_named_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add(tmp_path / "history", CALM)
    (tmp_path / "stdout").symlink_to("/dev/null")
    monkeypatch.chdir(tmp_path)
    assert call(["baseline", "trend", "history", "--out", "stdout"]) == ExitCode.BAD_INPUT
    assert "stdout: cannot be written to: it is no regular file" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "stdout").is_symlink()
