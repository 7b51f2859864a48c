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
from typing import Final

import zstandard

from harness.outside.files import MOST_LINE_BYTES

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
LENGTH: Final = struct.Struct(">I")
HEAD_BYTES: Final = 16
JSON_BEGINS: Final = b"{["
Broken = (OSError, EOFError, zlib.error, zstandard.ZstdError)
"""What reading a packed file raises where it is damaged or cut off."""


def unpacked(file: io.BufferedReader) -> io.BufferedReader:
    """Return a file without its packing as a whole, if it has one."""
    head = file.peek(HEAD_BYTES)[:HEAD_BYTES]
    if head.startswith(GZIP):
        return io.BufferedReader(gzip.GzipFile(fileobj=file))
    if head.startswith(ZSTD):
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True))
    return file


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
    return content
