import errno
import os
import stat
from pathlib import Path

import pytest

from harness.commands import conform as conform_command
from harness.commands.main import call
from harness.errors import ExitCode


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let a command fail as nobody foresaw."""

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(conform_command, "run_conformance", fails)


def test_a_fault_of_ours_is_no_verdict_and_its_trace_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    failing(monkeypatch, ZeroDivisionError("half \ud800 a character"))
    assert call(["conform", "http://127.0.0.1:9"]) == ExitCode.OWN_FAULT
    said = capsys.readouterr().err
    assert "agentrig itself failed: this is a bug" in said
    assert "Traceback" not in said
    (kept,) = (tmp_path / "agentrig").iterdir()
    assert str(kept) in said.replace("\n", "")
    assert "ZeroDivisionError" in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_where_no_trace_can_be_kept_it_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "nowhere" / "file\0"))
    failing(monkeypatch, ZeroDivisionError())
    assert call(["conform", "http://127.0.0.1:9"]) == ExitCode.OWN_FAULT
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), ExitCode.NOT_STARTED),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), ExitCode.NOT_STARTED),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "/runs/x"), ExitCode.NOT_STARTED),
        (OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), "n"), ExitCode.BAD_INPUT),
        (MemoryError(), ExitCode.NOT_STARTED),
        (OSError("of no kind"), ExitCode.OWN_FAULT),
    ],
)
def test_what_the_machine_refuses_is_a_sentence_and_no_fault_of_ours(
    error: BaseException,
    code: ExitCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    failing(monkeypatch, error)
    assert call(["conform", "http://127.0.0.1:9"]) == code
    said = capsys.readouterr().err
    assert "Traceback" not in said
    if isinstance(error, OSError) and error.strerror:
        assert error.strerror in said
