"""A run folder on its way out of a pod: packed there, fetched in pieces, looked at, and unpacked here."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from harness.errors import StartError

PIECE_BYTES: Final = 1024 * 1024
"""That one command in a pod brings: what is lost with a connection is asked for again."""
LEVEL: Final = 6
"""Of gzip: lines of JSON become a tenth."""
BLOCK_BYTES: Final = 1024 * 1024
READ: Final = (
    "import sys\n"
    "with open(sys.argv[1], 'rb') as file:\n"
    "    file.seek(int(sys.argv[2]))\n"
    "    sys.stdout.buffer.write(file.read(int(sys.argv[3])))\n"
)
"""The program that brings a piece: of a file, from a byte on, so many."""
REMOVE: Final = "import os, sys\nos.remove(sys.argv[1])\n"
"""The program by which who packed it knows that it was fetched."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file that holds a packed folder.

    Attributes:
        size: in bytes.
        sha256: of them.
    """

    size: int
    sha256: str


def pack(folder: Path, file: Path, meanwhile: Callable[[], None] = lambda: None) -> Parcel:
    """Pack a folder into a file; one that is not there is packed as an empty one.

    Args:
        folder: that is packed.
        file: that gets it.
        meanwhile: called again and again: some gigabytes take minutes.

    Raises:
        OSError: it can't be read, or the file not written.
    """
    with tarfile.open(file, "w:gz", compresslevel=LEVEL, dereference=True) as archive:
        for each in sorted(folder.rglob("*")):
            if each.is_file() and not each.is_symlink():
                with each.open("rb") as content:
                    told = archive.gettarinfo(arcname=str(each.relative_to(folder)), fileobj=content)
                    archive.addfile(told, _Watched(content, meanwhile))
    with file.open("rb") as packed:
        return Parcel(file.stat().st_size, hashlib.file_digest(packed, "sha256").hexdigest())


class _Watched:
    """A file that tells that it is read."""

    def __init__(self, content: BinaryIO, meanwhile: Callable[[], None]) -> None:
        self._content = content
        self._meanwhile = meanwhile

    def read(self, size: int = -1, /) -> bytes:
        self._meanwhile()
        return self._content.read(size)


def command(file: str, from_byte: int, size: int) -> tuple[str, ...]:
    """Return the command that brings a piece of a file in a pod."""
    return "python3", "-I", "-S", "-c", READ, file, str(from_byte), str(size)


def thanks(file: str) -> tuple[str, ...]:
    """Return the command that says that a file was fetched."""
    return "python3", "-I", "-S", "-c", REMOVE, file


def fetch(parcel: Parcel, file: Path, piece: Callable[[int, int], bytes]) -> None:
    """Write what is fetched piece by piece into a file, and look whether it is all of it.

    Args:
        parcel: what it has to be.
        file: that gets it.
        piece: returns bytes from one on, at most so many.

    Raises:
        StartError: it is something else, or can't be written.
    """
    found = hashlib.sha256()
    with _written(file), file.open("wb") as fetched:
        at = 0
        while at < parcel.size:
            block = piece(at, min(PIECE_BYTES, parcel.size - at))
            fetched.write(block)
            found.update(block)
            at += len(block)
    if found.hexdigest() != parcel.sha256:
        raise StartError(
            "what came back from the cluster is not what was measured there: its checksum is another one. "
            "Nothing of it is kept: run it again."
        )


def unpack(file: Path, folder: Path) -> None:
    """Unpack what was fetched into a folder that is there: files alone, and none beside it.

    Raises:
        StartError: a file of it would lie elsewhere, or can't be written.
    """
    with _written(folder), tarfile.open(file) as archive:
        for member in archive:
            within = PurePosixPath(member.name)
            if not member.isfile() or within.is_absolute() or ".." in within.parts:
                raise StartError(
                    f"what came back from the cluster holds {member.name!r}: that is no run folder."
                )
            target = folder / within
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # what is a link is not followed
            content = archive.extractfile(member)
            with target.open("xb") as written:
                if content is not None:
                    shutil.copyfileobj(content, written, BLOCK_BYTES)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise StartError(f"what came back from the cluster is damaged: {error}.") from error
    except OSError as error:
        raise StartError(
            f"{path}: what came back from the cluster can't be written: {error.strerror or error}. Make room."
        ) from error
