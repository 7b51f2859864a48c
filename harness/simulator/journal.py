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
from harness.simulator.call_names import CallName, CallNames

KEPT = 10_000
"""Rows that stay in memory; the file has them all."""
PATHS_KEPT, LONGEST_PATH = 100, 200
"""Paths that were asked for in vain and are counted apart (all others together); and characters of each."""


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
        self.sources: Counter[str] = Counter()
        """The same, by what decided; without those that were answered."""
        self.attempts = 0
        """Calls that came since the last reset, those included that are still in work."""
        self.names = CallNames()
        """The calls that those were attempts of, and what they asked: only the latter knows them for one
        where a caller gives each attempt a trace of its own."""
        self.unserved: Counter[str] = Counter()
        """Requests to paths that there are none of, by method, path and model."""
        self.resets = 0
        self.counts = CallCounts()
        self._file: BinaryIO | None = None
        self._name = str(file)
        if file is not None:
            try:
                self._file = file.open("ab")
            except OSError as error:
                raise StartError(f"{file}: the journal cannot be written: {error.strerror}") from error

    def attempt(self, trace_id: str | None, content: str, at_s: float) -> CallName:
        """Count one more attempt, seen at the Unix time `at_s`; return which call it belongs to."""
        self.attempts += 1
        return self.names.place(trace_id, content, at_s)

    def not_served(self, what: str) -> None:
        """Count a request to a path that there is none of."""
        what = what[:LONGEST_PATH]
        known = what in self.unserved or len(self.unserved) < PATHS_KEPT
        self.unserved[what if known else "others"] += 1

    def add(self, row: JournalRow, *, tokens: int = 0) -> None:
        """Keep a row; `flush` hands it to the operating system.

        Args:
            row: what was received and served.
            tokens: that the answer had.
        """
        self.count += 1
        self.decisions[row.decision] += 1
        if row.source is not None:
            self.sources[row.source] += 1
        self._rows.append(row)
        counts = self.counts
        counts.calls[row.protocol, row.decision, row.stream] += 1
        counts.seconds[row.protocol] += row.end_s - row.time_s
        counts.bytes_sent += row.bytes_sent
        counts.tokens += tokens
        counts.gone += row.client_gone
        if self._file is not None:
            self._file.write(to_json(row) + b"\n")

    def since(self, number: int, most: int | None = None) -> list[tuple[int, JournalRow]]:
        """Return the rows in memory that came after row `number`, numbered from 1; `most` at once."""
        first = self.count - len(self._rows) + 1
        skipped = min(max(0, number - first + 1), len(self._rows))
        end = None if most is None else skipped + most
        return list(enumerate(islice(self._rows, skipped, end), first + skipped))

    def reset(self) -> None:
        """Forget what is in memory; the file and the metrics stay."""
        self._rows.clear()
        self.names = CallNames()
        self.decisions.clear()
        self.sources.clear()
        self.unserved.clear()
        self.count = self.attempts = 0
        self.resets += 1

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
