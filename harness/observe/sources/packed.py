"""Files as they were packed: by gzip, by zstd, or message by message, as the Collector's exporter does it.

That writes each message behind its length (4 bytes, big endian) where it is protobuf or compressed, and
compresses each by itself: no unpacker reads such a file as a whole.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import zstandard

from harness.outside.files import MOST_LINE_BYTES

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
LENGTH: Final = struct.Struct(">I")
HEAD_BYTES: Final = 16
BLOCK_BYTES, CHECKSUM_BYTES, REPEATED = 3, 4, 1
SKIPPED, SKIPPED_FROM = b"\x2a\x4d\x18", 0x50
"""The magic number of a frame that unpackers leave out."""
JSON_BEGINS: Final = b"{["
Broken = (OSError, EOFError, zlib.error, zstandard.ZstdError)
"""What reading a packed file raises where it is damaged or cut off."""


def unpacked(file: io.BufferedReader) -> io.BufferedReader:
    """Return a file without its packing as a whole, if it has one."""
    head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
    if head.startswith(GZIP):
        return io.BufferedReader(gzip.GzipFile(fileobj=file))
    if head.startswith(ZSTD):
        return io.BufferedReader(_Zstd(file))
    return file


class _Zstd(io.RawIOBase):
    """A file of zstd frames: one that is cut off ends with an error, as one of gzip's does by itself."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        count: int = self._reader.readinto(buffer)
        if not count and not _ends_whole(self._file):
            raise EOFError("it is cut off")
        return count


def is_framed(file: io.BufferedReader) -> bool:
    """Whether a file is messages behind their lengths."""
    head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
    if len(head) <= LENGTH.size:
        return False
    (length,) = LENGTH.unpack(head[: LENGTH.size])
    begins = head[LENGTH.size :]
    fits = 0 < length <= MOST_LINE_BYTES
    return (
        fits
        and (begins.startswith((ZSTD, b"\n")) or begins[:1] in JSON_BEGINS)
        and head[:1] not in JSON_BEGINS
    )


def frames(file: io.BufferedReader) -> Iterator[bytes]:
    """Yield the messages of such a file.

    Raises:
        EOFError: it is cut off.
        OSError: it is none from some place on.
        zstandard.ZstdError: a message can't be unpacked.
    """
    while head := file.read(LENGTH.size):
        if len(head) < LENGTH.size:
            raise EOFError("it is cut off")
        (length,) = LENGTH.unpack(head)
        if not 0 < length <= MOST_LINE_BYTES:
            raise OSError("what follows is no message")
        message = file.read(length)
        if len(message) < length:
            raise EOFError("it is cut off")
        yield _whole(message) if message.startswith(ZSTD) else message


def _whole(message: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(message) as reader:
        content = reader.read(MOST_LINE_BYTES + 1)
    if len(content) > MOST_LINE_BYTES:
        raise OSError("a message is too large once it is unpacked")
    if not _ends_whole(io.BytesIO(message)):
        raise zstandard.ZstdError("it is cut off")
    return content


def _ends_whole(file: BinaryIO) -> bool:
    """Whether the last zstd frame of a file has its last block: the unpacker does not tell.

    A block says in 3 bytes, the least first, whether it is the last (1 bit), its kind (2), and its length.
    """
    size = file.seek(0, io.SEEK_END)
    at = file.seek(0)
    while at < size:
        head = file.read(HEAD_BYTES + 2)
        if head[1:4] == SKIPPED and head[0] & 0xF0 == SKIPPED_FROM:  # it holds anything but spans
            at = file.seek(at + 8 + int.from_bytes(head[4:8], "little"))
            continue
        try:
            at = file.seek(at + zstandard.frame_header_size(head))
            checked = zstandard.get_frame_parameters(head).has_checksum
        except zstandard.ZstdError:
            return False
        is_last = False
        while not is_last:
            block = file.read(BLOCK_BYTES)
            if len(block) < BLOCK_BYTES:
                return False
            told = int.from_bytes(block, "little")
            is_last, of_one_byte = bool(told & 1), told >> 1 & 3 == REPEATED
            at = file.seek(at + BLOCK_BYTES + (1 if of_one_byte else told >> 3))
        at = file.seek(at + CHECKSUM_BYTES * checked)
    return at == size
