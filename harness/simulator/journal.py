"""What was received: every model call, in memory for the control API and in a file for the run folder."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from pydantic_core import to_json

from harness.errors import StartError
from harness.records.seen import JournalRow

KEPT = 10_000
"""Rows that stay in memory; the file has them all."""
ATTEMPTS_KEPT = 200_000


@dataclass(slots=True)
class CallCounts:
    """What was served since the process began, for the metrics.

    Attributes:
        calls: by protocol, decision and whether it was streamed.
        seconds: that they took, by protocol.
        bytes_sent, tokens: of bodies and of answers.
        gone: how often the caller hung up.
    """

    calls: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    bytes_sent: int = 0
    tokens: int = 0
    gone: int = 0


class Journal:
    """The rows of one simulator.

    Args:
        file: gets a JSON line per row; None for memory only.

    Raises:
        StartError: the file can't be written.
    """

    def __init__(self, file: Path | None) -> None:
        self._rows: deque[JournalRow] = deque(maxlen=KEPT)
        self.count = 0
        """Rows since the last reset."""
        self.decisions: Counter[str] = Counter()
        """The same, by decision."""
        self.counts = CallCounts()
        self._attempts: dict[tuple[str, str], int] = {}
        self._file: BinaryIO | None = None
        self._name = str(file)
        if file is not None:
            try:
                self._file = file.open("ab")
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

    def add(self, row: JournalRow, *, tokens: int = 0) -> None:
        """Keep a row; `flush` hands it to the operating system.

        Args:
            row: what was received and served.
            tokens: that the answer had.
        """
        self.count += 1
        self.decisions[row.decision] += 1
        self._rows.append(row)
        counts = self.counts
        counts.calls[row.protocol, row.decision, row.stream] += 1
        counts.seconds[row.protocol] += row.end_s - row.time_s
        counts.bytes_sent += row.bytes_sent
        counts.tokens += tokens
        counts.gone += row.client_gone
        if self._file is not None:
            self._file.write(to_json(row) + b"\n")

    def since(self, number: int) -> list[tuple[int, JournalRow]]:
        """Return the rows in memory that came after row `number`, numbered from 1."""
        first = self.count - len(self._rows) + 1
        skipped = min(max(0, number - first + 1), len(self._rows))
        return list(enumerate(islice(self._rows, skipped, None), first + skipped))

    def reset(self) -> None:
        """Forget what is in memory; the file and the metrics stay."""
        self._rows.clear()
        self._attempts.clear()
        self.decisions.clear()
        self.count = 0

    def flush(self) -> None:
        """Hand what was written to the operating system.

        Raises:
            StartError: the disk doesn't take it.
        """
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                raise StartError(f"{self._name}: the journal cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Write the rest and close the file.

        Raises:
            StartError: the disk doesn't take it.
        """
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None
