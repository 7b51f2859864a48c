"""Files of others: no link is followed where something is written, and nothing is read without an end."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # None - its type is of a module that is there

FLAGS: Final = {
    name: int(getattr(os, name, 0))  # Windows has few of them, and one of its own
    for name in ("O_BINARY", "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK")
}
MOST_LINE_BYTES: Final = 256 * 1024 * 1024
"""Of a line, and of a file that is read as one."""
NO_FILE: Final = "it is no regular file"


def open_regular(file: Path) -> BufferedReader:
    """Open a file to be read, if it is one: a pipe would wait for ever, and a device never end.

    Raises:
        OSError: it can't be opened, or is none.
    """
    how = os.O_RDONLY | FLAGS["O_NONBLOCK"] | FLAGS["O_CLOEXEC"] | FLAGS["O_BINARY"]
    return os.fdopen(_regular(os.open(file, how), file), "rb")


def _regular(handle: int, file: Path) -> int:
    """Return the handle of a file that is one; else it is closed."""
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(None, NO_FILE, str(file))
    return handle


def read_bytes(file: Path) -> bytes:
    """Return what a regular file holds.

    Raises:
        OSError: it can't be read, is none, or too large.
    """
    with open_regular(file) as opened:
        return _within(opened.read(MOST_LINE_BYTES + 1), file)


def lines_of(file: Path, from_byte: int = 0) -> Iterator[bytes]:
    """Yield the lines of a regular file, with their ends.

    Raises:
        OSError: it can't be read, is none, or has too long a line.
    """
    with open_regular(file) as opened:
        opened.seek(from_byte)
        while line := opened.readline(MOST_LINE_BYTES + 1):
            yield _within(line, file)


def _within(content: bytes, file: Path) -> bytes:
    if len(content) > MOST_LINE_BYTES:
        raise OSError(None, f"it holds more than {MOST_LINE_BYTES} bytes at a stretch", str(file))
    return content


def write_whole(file: Path, content: bytes | Iterable[bytes], mode: int = 0o600) -> None:
    """Write a file at once: a reader sees the old one or the new one, and a link in its place is replaced.

    Args:
        file: which.
        content: of it, or pieces of that.
        mode: who may read it; this user alone by default.

    Raises:
        OSError: it can't be written, or a pipe or a device is in its place; nothing is left aside.
    """
    if _kind(file) not in {stat.S_IFREG, stat.S_IFLNK, None}:
        raise OSError(None, NO_FILE, str(file))
    handle, name = tempfile.mkstemp(".part", f".{file.name[:100]}.", file.parent)
    aside = Path(name)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.writelines([content] if isinstance(content, bytes) else content)
            if hasattr(os, "fchmod"):  # not on Windows: there a file is as its folder is
                os.fchmod(handle, mode)
        aside.replace(file)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def write_named(file: Path, content: bytes) -> None:
    """Write a file that somebody named, as `write_whole` does: a link such as /dev/stdout stays, too.

    Args:
        file: which.
        content: of it.

    Raises:
        OSError: it can't be written, or it is there and no regular file.
    """
    if _kind(file) not in {stat.S_IFREG, None}:
        raise OSError(None, NO_FILE, str(file))
    write_whole(file, content)


def _kind(file: Path) -> int | None:
    """Return of what kind a file is, and be it a link; None for none."""
    try:
        return stat.S_IFMT(file.lstat().st_mode)
    except FileNotFoundError:
        return None


def open_to_append(file: Path) -> BinaryIO:
    """Open a file to add to its end; this user alone may read it.

    Raises:
        OSError: it can't be opened, is a link, or is there and no regular file.
    """
    how = FLAGS["O_NOFOLLOW"] | FLAGS["O_NONBLOCK"] | FLAGS["O_CLOEXEC"] | FLAGS["O_BINARY"]
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | how, 0o600)
    return os.fdopen(_regular(handle, file), "ab")


def lock(handle: int) -> None:
    """Lock an open file or folder for this process alone, until it is closed or the process ends.

    Raises:
        BlockingIOError: another process holds it.
        OSError: there are no locks: on some disks, and on Windows.
    """
    if fcntl is None:
        raise OSError(errno.ENOSYS, "there are no locks of this kind")
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def widen_pipe(handle: int, size: int) -> None:
    """Let a pipe hold so many bytes, as far as the system lets it: only Linux does."""
    if fcntl is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # more than this user may have
            fcntl.fcntl(handle, fcntl.F_SETPIPE_SZ, size)
