"""Rows of a load as lines of JSON, and the file that gets them while the load lasts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from io import RawIOBase
from operator import attrgetter
from typing import Final

from harness.records.sent import RequestRow

KEPT_S = 0.1
"""A row is in the file so long after its call ended, at the latest."""
FIELDS: Final = tuple(field.name for field in dataclasses.fields(RequestRow))
_values = attrgetter(*FIELDS)
_encode = json.JSONEncoder(separators=(",", ":")).encode


def line_of(row: RequestRow) -> str:
    """Return the line of a row, with its end."""
    return _encode(dict(zip(FIELDS, _values(row), strict=True))) + "\n"


class RowFile:
    """Writes rows, several at a time: one after the other they take a fraction of what each takes alone.

    Args:
        file: where the lines go, without a buffer of its own.
        later: calls a function in a number of seconds, and returns at once.
    """

    def __init__(self, file: RawIOBase, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._file = file
        self._later = later
        self._kept: list[RequestRow] = []
        self._unwritten = b""

    def add(self, row: RequestRow) -> None:
        """Write a row, within `KEPT_S` where the disk takes it."""
        if not self._kept and not self._unwritten:
            self._later(KEPT_S, self._flush_or_wait)
        self._kept.append(row)

    def flush(self) -> None:
        """Write the rows that are kept.

        Raises:
            OSError: the disk doesn't take them; what it did not take is kept.
        """
        kept, self._kept = self._kept, []
        self._unwritten += "".join(map(line_of, kept)).encode()
        while self._unwritten:  # the last ones may have been written already, and the file be closed
            self._unwritten = self._unwritten[self._file.write(self._unwritten) or 0 :]

    def _flush_or_wait(self) -> None:
        try:
            self.flush()
        except OSError:  # the disk may have room again; at the end it is told
            self._later(KEPT_S, self._flush_or_wait)
