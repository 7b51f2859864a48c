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
HISTOGRAMS = ("histogram", "failed", "from_sent", "lateness", "first_byte", "first_token")
"""The attributes of a tally that are one."""


@dataclass(frozen=True, slots=True, order=True)
class Slow:
    """One of the slowest calls."""

    latency_ms: float
    trace_id: str
    upstream: str
    status: int


@dataclass(frozen=True, slots=True)
class Others:
    """What users of other classes did beside the scenarios: Locust's own count of them is set back on demand.

    Attributes:
        ended: their requests.
        failed: how many of those Locust counts as failed.
        raised: exceptions in users' tasks.
    """

    ended: int = 0
    failed: int = 0
    raised: int = 0

    def __add__(self, other: Others) -> Others:
        return Others(self.ended + other.ended, self.failed + other.failed, self.raised + other.raised)


def _empty() -> HdrHistogram:
    return HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS, b64_wrap=True)


@dataclass
class Tally:
    """What came of the calls of one process, or of several.

    Attributes:
        counts: due, sent, late, dropped and in flight.
        histogram: latencies of the calls that succeeded, in microseconds, from the intended start.
        failed: those of the calls that failed; of one that timed out, until it was given up.
        from_sent: latencies of all calls, from when they were sent.
        lateness: how long after its intended start each call was sent.
        first_byte, first_token: until the first byte and the first words of the calls that succeeded, from
            the intended start.
        succeeded: successes per scenario.
        upstreams: answers per container.
        failures: errors per `error_type`.
        slowest: the `KEPT` slowest calls, failed ones too.
        others: what users of other classes did; no part of the rest.
    """

    counts: ArrivalCounts = field(default_factory=ArrivalCounts)
    histogram: HdrHistogram = field(default_factory=_empty)
    failed: HdrHistogram = field(default_factory=_empty)
    from_sent: HdrHistogram = field(default_factory=_empty)
    lateness: HdrHistogram = field(default_factory=_empty)
    first_byte: HdrHistogram = field(default_factory=_empty)
    first_token: HdrHistogram = field(default_factory=_empty)
    succeeded: Counter[str] = field(default_factory=Counter)
    upstreams: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    slowest: list[Slow] = field(default_factory=list)
    others: Others = Others()

    @property
    def successes(self) -> int:
        """How many calls got what they asked for."""
        return int(self.histogram.get_total_count())

    @property
    def errors(self) -> int:
        """How many calls failed."""
        return int(self.failed.get_total_count())

    @property
    def done(self) -> int:
        """How many calls have ended."""
        return self.successes + self.errors

    def quantile_ms(self, percent: float) -> float | None:
        """Return a percentile of the successful calls' latency, None before the first."""
        return _quantile_ms(self.histogram, percent)

    def quantile_of_all_ms(self, percent: float) -> float | None:
        """Return a percentile of the latency of all calls, failed ones too, None before the first."""
        both = _empty()
        both.add(self.histogram)
        both.add(self.failed)
        return _quantile_ms(both, percent)

    def quantile_from_sent_ms(self, percent: float) -> float | None:
        """Return the same as if no call had been sent late."""
        return _quantile_ms(self.from_sent, percent)

    def ttfb_ms(self, percent: float) -> float | None:
        """Return a percentile of the successes' time to the first byte, None before the first."""
        return _quantile_ms(self.first_byte, percent)

    def ttft_ms(self, percent: float) -> float | None:
        """Return a percentile of the successes' time to the first token, None before the first."""
        return _quantile_ms(self.first_token, percent)

    def lateness_ms(self, percent: float) -> float | None:
        """Return a percentile of how late the calls were sent, None before the first."""
        return _quantile_ms(self.lateness, percent)

    def add(self, row: RequestRow) -> None:
        """Count a call that has ended."""
        _record(self.histogram if row.ok else self.failed, row.latency_s)
        _record(self.from_sent, row.end_s - row.sent_s)
        _record(self.lateness, row.lateness_s)
        if row.ok:
            self.succeeded[row.experiment] += 1
            for histogram, took_s in ((self.first_byte, row.ttfb_s), (self.first_token, row.ttft_s)):
                if took_s is not None:
                    _record(histogram, took_s)
        else:
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
            "histograms": {name: getattr(self, name).encode().decode() for name in HISTOGRAMS},
            "succeeded": dict(self.succeeded),
            "upstreams": dict(self.upstreams),
            "failures": dict(self.failures),
            "slowest": [dataclasses.astuple(slow) for slow in self.slowest],
            "others": dataclasses.astuple(self.others),
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Return what `to_wire` was called on."""
        return cls(
            counts=ArrivalCounts(**wire["counts"]),
            **{name: HdrHistogram.decode(text.encode()) for name, text in wire["histograms"].items()},
            succeeded=Counter(wire["succeeded"]),
            upstreams=Counter(wire["upstreams"]),
            failures=Counter(wire["failures"]),
            slowest=[Slow(*slow) for slow in wire["slowest"]],
            others=Others(*wire["others"]),
        )


def merge(tallies: Iterable[Tally]) -> Tally:
    """Return the tally of all calls together, as if one process had made them."""
    whole = Tally()
    for part in tallies:
        whole.counts += part.counts
        for name in HISTOGRAMS:
            getattr(whole, name).add(getattr(part, name))
        whole.succeeded += part.succeeded
        whole.upstreams += part.upstreams
        whole.failures += part.failures
        whole.others += part.others
        whole.slowest = heapq.nlargest(KEPT, [*whole.slowest, *part.slowest])
    heapq.heapify(whole.slowest)
    return whole


def _record(histogram: HdrHistogram, duration_s: float) -> None:
    micros = round(duration_s * 1e6)
    histogram.record_value(min(max(micros, LOWEST_US), HIGHEST_US))


def _quantile_ms(histogram: HdrHistogram, percent: float) -> float | None:
    if not histogram.get_total_count():
        return None
    return float(histogram.get_value_at_percentile(percent)) / 1000
