"""The raw file of the capture: OTLP bodies one after the other, each behind a small head.

A frame is `time (f64, Unix s) · content type (u8) · length (u32) · payload`, big endian.
The payload is what was sent, with gzip undone.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from harness.errors import InputError, StartError

HEAD = struct.Struct(">dBI")


class Encoding(IntEnum):
    """How a payload is written."""

    PROTOBUF = 1
    JSON = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One OTLP request as it came in.

    Attributes:
        number: position in the file, from 1.
        time_s: when it was received.
        encoding: of the payload.
        payload: an `Export…ServiceRequest`.
        ends_at: byte of the file after it.
    """

    number: int
    time_s: float
    encoding: Encoding
    payload: bytes
    ends_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCount:
    """What a raw file holds: whole frames, and the bytes of a last one that was cut off."""

    frames: int
    cut_off_bytes: int


class FrameWriter:
    """Appends frames to a file; each is whole in the file when `append` returns.

    Args:
        path: the file; made when it isn't there.

    Raises:
        StartError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("ab", buffering=0)  # a buffer would keep what the disk did not take
        except OSError as error:
            raise StartError(f"{path}: cannot be written to: {error.strerror}") from error

    def append(self, time_s: float, encoding: Encoding, payload: bytes) -> None:
        """Append one frame, or nothing of it.

        Raises:
            OSError: it could not be written, such as on a full disk.
        """
        end = self._file.tell()
        left = memoryview(HEAD.pack(time_s, encoding, len(payload)) + payload)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            os.ftruncate(self._file.fileno(), end)
            self._file.seek(end)
            raise

    def close(self) -> None:
        """Hand everything to the disk and close the file."""
        os.fsync(self._file.fileno())
        self._file.close()


def read_frames(path: Path, *, from_byte: int = 0) -> Iterator[Frame]:
    """Yield the whole frames of a raw file; a last one that was cut off is left out.

    Args:
        path: the file.
        from_byte: where to begin: the begin of a frame. Numbers count from there.

    Raises:
        InputError: the file isn't there, or it is not a raw file.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}. The capture writes it.") from error
    with file:
        file.seek(from_byte)
        number = 1
        while len(head := file.read(HEAD.size)) == HEAD.size:
            time_s, code, size = HEAD.unpack(head)
            if code not in set(Encoding):
                raise InputError(f"{path}: frame {number}: no content type has the number {code}")
            payload = file.read(size)
            if len(payload) < size:
                return
            yield Frame(
                number=number,
                time_s=time_s,
                encoding=Encoding(code),
                payload=payload,
                ends_at=file.tell(),
            )
            number += 1


def count(path: Path) -> RawCount:
    """Count the frames of a raw file, and what is left over at its end.

    Raises:
        InputError: the file isn't there, or it is not a raw file.
    """
    frames = used = 0
    for frame in read_frames(path):
        frames += 1
        used += HEAD.size + len(frame.payload)
    return RawCount(frames=frames, cut_off_bytes=path.stat().st_size - used)
