"""What is told when agentrig itself fails: never a verdict, and where the trace of it was written."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from harness import __version__
from harness.errors import ExitCode
from harness.outside.secrets import beginning, hidden
from harness.records.up_state import state_folder

MACHINE: Final = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EPIPE, errno.EISDIR, errno.ENOTDIR),
    }
)
"""What a machine refuses whatever a program does: its disk is full or not ours, its descriptors are used."""
NAMES: Final = frozenset({errno.ENAMETOOLONG, errno.ELOOP})
"""What is wrong with the name of a file that was given."""


def of_machine(error: BaseException) -> tuple[str, ExitCode] | None:
    """Say what the machine refused, and the exit code of that; None when it refused nothing."""
    if isinstance(error, MemoryError):
        return "The machine gave no more memory. Close some programs, or ask for less.", ExitCode.NOT_STARTED
    if not isinstance(error, OSError) or error.errno not in MACHINE | NAMES:
        return None
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    if error.errno in NAMES:
        return f"{what}. Give another name.", ExitCode.BAD_INPUT
    return f"{what}. It is this machine that refused; make room or give another folder.", ExitCode.NOT_STARTED


def own_fault(error: BaseException, args: Sequence[str]) -> str:
    """Keep the trace of a fault of ours, and say where it is.

    Args:
        error: that nobody foresaw.
        args: of the command.
    """
    trace = hidden("".join(traceback.format_exception(error)))
    text = hidden(f"agentrig {__version__}, Python {sys.version}\nagentrig {' '.join(args)}\n\n{trace}")
    what = f"{type(error).__name__}: {error}"
    said = (
        f"agentrig itself failed: this is a bug, and says nothing of what was checked. {beginning(what, 400)}"
    )
    for folder in (state_folder(), Path(tempfile.gettempdir())):
        with suppress(OSError, ValueError):
            return f"{said}\nIts trace: {_kept(folder, text)}. Please report it with that file."
    return f"{said}\n{trace}"


def _kept(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(".txt", "crash-", folder)  # for this user's eyes alone
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return Path(name)
