"""Ends a ramp at the first step that can't be sustained any more, whatever its other requests do."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from harness.ramp import RampLimits, rate_of
from harness.records.sent import Arrival, RequestRow


class RampWatch:
    """Watches the requests of a ramp's steps.

    A request that has no answer yet is slow as soon as it is older than the limit. What was slow or
    failed stays so: a step that is lost by it would not be sustained with all its requests either.

    Args:
        arrivals: the plan.
        limits: what each step has to stay within, None for nothing.
        now: Unix seconds.
    """

    def __init__(
        self, arrivals: Sequence[Arrival], limits: RampLimits | None, now: Callable[[], float]
    ) -> None:
        self._arrivals = arrivals
        self._limits = limits or RampLimits(p99_ms=math.inf, error_ratio=1.0)
        self._now = now
        self._planned = Counter(each.phase for each in arrivals if limits and rate_of(each.phase) is not None)
        self._failed: Counter[str] = Counter()
        self._slow: Counter[str] = Counter()
        self._lost: set[str] = set()
        self._waiting: dict[int, tuple[str, float]] = {}

    def until_lost(self, start_s: float) -> Iterator[Arrival]:
        """Yield the plan, up to where a step of the ramp is lost.

        Args:
            start_s: the Unix time that due times count from.
        """
        for arrival in self._arrivals:
            if arrival.phase in self._planned:
                if self.lost_step() is not None:
                    return
                self._waiting[arrival.index] = arrival.phase, start_s + arrival.due_s
            yield arrival

    def ended(self, row: RequestRow) -> None:
        """Take note of a request that was answered, or failed."""
        if row.phase in self._planned:
            waited = self._waiting.pop(row.index, None) is not None  # or it has been counted as slow already
            self._count(row.phase, failed=not row.ok, slow=waited and row.latency_s > self._limit_s)

    def lost_step(self) -> str | None:
        """Return the first step that can't be sustained any more, None while there is none."""
        self._count_overdue()
        return next((step for step in self._planned if step in self._lost), None) if self._lost else None

    def _count_overdue(self) -> None:
        while self._waiting:
            index, (phase, due_s) = next(iter(self._waiting.items()))  # in the order they were due
            if self._now() - due_s <= self._limit_s:
                return
            del self._waiting[index]
            self._count(phase, slow=True)

    def _count(self, step: str, *, failed: bool = False, slow: bool = False) -> None:
        self._failed[step] += failed
        self._slow[step] += slow
        requests = self._planned[step]
        if not self._limits.allow(requests=requests, failed=self._failed[step], slow=self._slow[step]):
            self._lost.add(step)

    @property
    def _limit_s(self) -> float:
        return self._limits.p99_ms / 1e3
