"""Where the output of a child process goes: a file, which no secret ever reaches."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import BinaryIO, Final, Self

from harness.outside import secrets
from harness.outside.files import widen_pipe

PIPE_BYTES: Final = 1024 * 1024
"""A child that prints so much while nobody reads needn't wait: this process may stand still for a while."""
CATCH_UP_S: Final = 5.0
"""The last words of a child are there after; what left its session may hold its output open for longer."""


class Output:
    """The log of one child; within its `with` block the child is started.

    The child writes it by itself where nothing is to be hidden. Else a thread of this process does: what was
    scrubbed only afterwards would stay where this process is killed.

    Args:
        log: the file that is added to.

    Raises:
        OSError: it can't be opened, or there are too many open files.
    """

    def __init__(self, log: Path) -> None:
        self._file = log.open("ab", buffering=0)
        self._reader: Thread | None = None
        self._handle = self._file.fileno()
        if not secrets.are_known():
            return
        try:
            reading, self._handle = os.pipe()
        except OSError:
            self._file.close()
            raise
        widen_pipe(reading, PIPE_BYTES)
        self._reader = Thread(target=_write_hidden, args=(reading, self._file), daemon=True)
        self._reader.start()

    def fileno(self) -> int:
        """Return what the child is to write to."""
        return self._handle

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Keep no end of it open here: the child has it, or there is none."""
        if self._reader is None:
            self._file.close()
        else:
            os.close(self._handle)

    def catch_up(self) -> None:
        """Wait until what a child said that has ended is in its file."""
        if self._reader is not None:
            self._reader.join(CATCH_UP_S)


def _write_hidden(reading: int, file: BinaryIO) -> None:
    with file, os.fdopen(reading, "rb", buffering=0) as output:
        for piece in secrets.hidden_pieces(output.read):
            with suppress(OSError):  # a full disk: the child shall not wait for it
                file.write(piece)
