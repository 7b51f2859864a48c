"""What came of the calls: counts, an exact histogram, the slowest; mergeable over processes."""

from __future__ import annotations

import dataclasses
import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # hdrh - it has no types

from harness.load.open_loop import ArrivalCounts
from harness.records.sent import RequestRow

LOWEST_US, HIGHEST_US, DIGITS = 1, 3_600_000_000, 3
"""Latencies from a microsecond to an hour, each kept to three significant digits."""
KEPT = 20


@dataclass(frozen=True, slots=True, order=True)
class Slow:
    """One of the slowest calls."""

    latency_ms: float
    trace_id: str
    upstream: str
    status: int


@dataclass
class Tally:
    """What came of the calls of one process, or of several.

    Attributes:
        counts: due, sent, late, dropped and in flight.
        errors: calls that failed; the histogram has the latency of the others.
        histogram: latencies in microseconds, from the intended start.
        upstreams: answers per container.
        failures: errors per `error_type`.
        slowest: the `KEPT` slowest calls, failed ones too.
    """

    counts: ArrivalCounts = field(default_factory=ArrivalCounts)
    errors: int = 0
    histogram: HdrHistogram = field(
        default_factory=lambda: HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS, b64_wrap=True)
    )
    upstreams: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    slowest: list[Slow] = field(default_factory=list)

    @property
    def successes(self) -> int:
        """How many calls got what they asked for."""
        return int(self.histogram.get_total_count())

    @property
    def done(self) -> int:
        """How many calls have ended."""
        return self.successes + self.errors

    def quantile_ms(self, percent: float) -> float | None:
        """Return a percentile of the successful calls' latency, None before the first."""
        if not self.successes:
            return None
        return float(self.histogram.get_value_at_percentile(percent)) / 1000

    def add(self, row: RequestRow) -> None:
        """Count a call that has ended."""
        if row.ok:
            micros = round(row.latency_s * 1e6)
            self.histogram.record_value(min(max(micros, LOWEST_US), HIGHEST_US))
        else:
            self.errors += 1
            self.failures[row.error_type or f"http_{row.status}"] += 1
        if row.upstream is not None:
            self.upstreams[row.upstream] += 1
        slow = Slow(row.latency_s * 1000, row.trace_id, row.upstream or "", row.status)
        if len(self.slowest) < KEPT:
            heapq.heappush(self.slowest, slow)
        else:
            heapq.heappushpop(self.slowest, slow)

    def to_wire(self) -> dict[str, Any]:
        """Return plain values for Locust's messages; the histogram in HdrHistogram's own encoding."""
        return {
            "counts": dataclasses.asdict(self.counts),
            "errors": self.errors,
            "histogram": self.histogram.encode().decode(),
            "upstreams": dict(self.upstreams),
            "failures": dict(self.failures),
            "slowest": [dataclasses.astuple(slow) for slow in self.slowest],
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Return what `to_wire` was called on."""
        return cls(
            counts=ArrivalCounts(**wire["counts"]),
            errors=wire["errors"],
            histogram=HdrHistogram.decode(wire["histogram"].encode()),
            upstreams=Counter(wire["upstreams"]),
            failures=Counter(wire["failures"]),
            slowest=[Slow(*slow) for slow in wire["slowest"]],
        )


def merge(tallies: Iterable[Tally]) -> Tally:
    """Return the tally of all calls together, as if one process had made them."""
    whole = Tally()
    for part in tallies:
        whole.counts += part.counts
        whole.errors += part.errors
        whole.histogram.add(part.histogram)
        whole.upstreams += part.upstreams
        whole.failures += part.failures
        whole.slowest = heapq.nlargest(KEPT, [*whole.slowest, *part.slowest])
    heapq.heapify(whole.slowest)
    return whole
