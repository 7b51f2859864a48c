"""What was received: every model call, in memory for the control API and in a file for the run folder."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from pydantic_core import to_json

from harness.errors import StartError
from harness.records.seen import JournalRow

MOST_UNSERVED = 100
"""Kinds of calls to paths that are not served, told apart; what is more is counted together."""
LONGEST_UNSERVED = 200
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


class Attempts:
    """How often each call was tried since the last reset: exact, in bounded memory.

    Attributes:
        calls: how many different ones there were.
        forgotten_after_s: least seconds since its last attempt after which a call had to be forgotten, None
            while all are known; a call that is tried again after longer counts as a new one.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.forgotten_after_s: float | None = None
        self._seen: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def count(self, call: Hashable, at_s: float) -> int:
        """Count one more attempt of a call, seen at the Unix time `at_s`; return its number, from 1."""
        before, _ = self._seen.pop(call, (0, at_s))
        self._seen[call] = before + 1, at_s  # last again, so that the oldest is forgotten first
        self.calls += before == 0
        if len(self._seen) > ATTEMPTS_KEPT:
            _, (_, last_s) = self._seen.popitem(last=False)
            known_s = math.inf if self.forgotten_after_s is None else self.forgotten_after_s
            self.forgotten_after_s = min(at_s - last_s, known_s)
        return before + 1


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
        self.by_trace, self.by_body = Attempts(), Attempts()
        """The calls that those were attempts of, distinguished by trace and body, and by body alone: only the
        latter knows them for one call where a caller gives each attempt a trace of its own."""
        self.unserved: Counter[str] = Counter()
        """Requests since the last reset to paths that are not served, by method, path and model."""
        self.resets = 0
        self.counts = CallCounts()
        self._file: BinaryIO | None = None
        self._name = str(file)
        if file is not None:
            try:
                self._file = file.open("ab")
            except OSError as error:
                raise StartError(f"{file}: the journal cannot be written: {error.strerror}") from error

    def attempt(self, trace_id: str | None, call_id: str, at_s: float) -> int:
        """Count one more attempt of a call, seen at the Unix time `at_s`; return its number, from 1."""
        self.attempts += 1
        self.by_body.count(call_id, at_s)
        return self.by_trace.count((trace_id or "", call_id), at_s)

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

    def not_served(self, what: str) -> None:
        """Count a request to a path that is not served."""
        kind = what[:LONGEST_UNSERVED]
        known = kind in self.unserved or len(self.unserved) < MOST_UNSERVED
        self.unserved[kind if known else "others"] += 1

    def since(self, number: int) -> list[tuple[int, JournalRow]]:
        """Return the rows in memory that came after row `number`, numbered from 1."""
        first = self.count - len(self._rows) + 1
        skipped = min(max(0, number - first + 1), len(self._rows))
        return list(enumerate(islice(self._rows, skipped, None), first + skipped))

    def reset(self) -> None:
        """Forget what is in memory; the file and the metrics stay."""
        self._rows.clear()
        self.by_trace, self.by_body = Attempts(), Attempts()
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
