"""Frames of `application/vnd.amazon.eventstream`.

u32 total length, u32 length of the headers, u32 CRC of those eight bytes, headers, payload, u32 CRC
of all before. A header is a u8 length and the name, 7 for "string", a u16 length and the value.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from zlib import crc32

_STRING = 7
_PRELUDE_AND_CRC = 16


def headers(values: Mapping[str, str]) -> bytes:
    """Write the headers of a frame."""
    written = bytearray()
    for name, value in values.items():
        key, text = name.encode(), value.encode()
        written += struct.pack(">B", len(key)) + key + struct.pack(">BH", _STRING, len(text)) + text
    return bytes(written)


def frame(header_bytes: bytes, payload: bytes) -> bytes:
    """Write a frame.

    Args:
        header_bytes: as `headers` writes them.
        payload: what it carries.
    """
    total = _PRELUDE_AND_CRC + len(header_bytes) + len(payload)
    prelude = struct.pack(">II", total, len(header_bytes))
    before = b"".join((prelude, struct.pack(">I", crc32(prelude)), header_bytes, payload))
    return before + struct.pack(">I", crc32(before))


def broken(good: bytes) -> bytes:
    """Return a frame whose checksum is wrong."""
    return good[:-1] + bytes((good[-1] ^ 0xFF,))
