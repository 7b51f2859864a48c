"""What was received: every model call, in memory for the control API and in a file for the run folder."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter, deque
from pathlib import Path
from typing import TextIO

from harness.errors import StartError
from harness.records import JournalRow

KEPT = 10_000
"""Rows that stay in memory; the file has them all."""
ATTEMPTS_KEPT = 200_000


class Journal:
    """The rows of one simulator.

    Args:
        file: gets a JSON line per row; None for memory only.

    Raises:
        StartError: the file can't be written.
    """

    def __init__(self, file: Path | None) -> None:
        self._rows: deque[tuple[int, JournalRow]] = deque(maxlen=KEPT)
        self._count = 0
        self.decisions: Counter[str] = Counter()
        self._attempts: dict[tuple[str, str], int] = {}
        self._file: TextIO | None = None
        if file is not None:
            try:
                self._file = file.open("a", encoding="utf-8")
            except OSError as error:
                raise StartError(f"{file}: the journal cannot be written: {error.strerror}") from error

    def attempt(self, trace_id: str | None, call_id: str) -> int:
        """Count one more attempt of a call, and return its number, from 1."""
        key = (trace_id or "", call_id)
        number = self._attempts.pop(key, 0) + 1
        self._attempts[key] = number  # last again, so that the oldest is forgotten first
        if len(self._attempts) > ATTEMPTS_KEPT:
            del self._attempts[next(iter(self._attempts))]
        return number

    def add(self, row: JournalRow) -> None:
        """Keep a row; `flush` hands it to the disk."""
        self._count += 1
        self.decisions[row.decision] += 1
        self._rows.append((self._count, row))
        if self._file is not None:
            self._file.write(json.dumps(dataclasses.asdict(row), separators=(",", ":")) + "\n")

    def since(self, number: int) -> list[tuple[int, JournalRow]]:
        """Return the rows in memory that came after row `number`, numbered from 1."""
        return [(n, row) for n, row in self._rows if n > number]

    @property
    def count(self) -> int:
        """Rows since the last reset."""
        return self._count

    def reset(self) -> None:
        """Forget what is in memory; the file stays."""
        self._rows.clear()
        self._attempts.clear()
        self.decisions.clear()
        self._count = 0

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Write the rest and close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
