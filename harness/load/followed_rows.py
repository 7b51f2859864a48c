"""How far a load is, from its plan, the time, and the rows that have been written so far."""

from __future__ import annotations

import json
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from harness.quantiles import nearest_rank
from harness.records.sent import Arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProgress:
    """How far a load is.

    Attributes:
        planned: how many requests the plan has.
        sent: how many of them had their time.
        done: how many were answered or failed.
        errors: how many of those failed.
        in_flight: sent and not done.
        p50_ms, p99_ms: latency of the successes so far, None before the first.
    """

    planned: int
    sent: int
    done: int
    errors: int
    in_flight: int
    p50_ms: float | None
    p99_ms: float | None


class Tail:
    """Follows the rows of a load.

    Args:
        rows: the file; it may not be there yet.
        arrivals: the plan.
    """

    def __init__(self, rows: Path, arrivals: Sequence[Arrival]) -> None:
        self._rows = rows
        self._due_s = [arrival.due_s for arrival in arrivals]
        self._offset = 0
        self._errors = 0
        self._latencies_ms: list[float] = []

    def progress(self, elapsed_s: float) -> LoadProgress:
        """Read what is new, and return how far the load is `elapsed_s` after it began."""
        self._read_on()
        done = self._errors + len(self._latencies_ms)
        sent = max(done, bisect_right(self._due_s, elapsed_s))
        return LoadProgress(
            planned=len(self._due_s),
            sent=sent,
            done=done,
            errors=self._errors,
            in_flight=sent - done,
            p50_ms=self._quantile_ms(0.50),
            p99_ms=self._quantile_ms(0.99),
        )

    def _read_on(self) -> None:
        if not self._rows.exists():
            return
        with self._rows.open("rb") as rows:
            rows.seek(self._offset)
            new = rows.read()
        whole = new[: new.rfind(b"\n") + 1]  # the last line may still be on its way
        self._offset += len(whole)
        for line in whole.splitlines():
            row = json.loads(line)
            if row["error"] is None and row["status"] == HTTPStatus.OK:
                insort(self._latencies_ms, (row["end_s"] - row["due_s"]) * 1000)
            else:
                self._errors += 1

    def _quantile_ms(self, q: float) -> float | None:
        return nearest_rank(self._latencies_ms, q) if self._latencies_ms else None
