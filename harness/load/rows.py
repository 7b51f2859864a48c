"""Rows of a load as lines of JSON, and the file that gets them while the load lasts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from operator import attrgetter
from typing import Final, TextIO

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
        file: where the lines go.
        later: calls a function in a number of seconds, and returns at once.
    """

    def __init__(self, file: TextIO, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._file = file
        self._later = later
        self._kept: list[RequestRow] = []

    def add(self, row: RequestRow) -> None:
        """Write a row, within `KEPT_S`."""
        if not self._kept:
            self._later(KEPT_S, self.flush)
        self._kept.append(row)

    def flush(self) -> None:
        """Write the rows that are kept."""
        if self._kept:  # the last ones may have been written already, and the file be closed
            kept, self._kept = self._kept, []
            self._file.write("".join(map(line_of, kept)))
            self._file.flush()
