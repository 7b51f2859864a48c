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
        self._planned = Counter(each.phase for each in arrivals if rate_of(each.phase) is not None)
        self._failed: Counter[str] = Counter()
        self._slow: Counter[str] = Counter()
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
        if self._waiting.pop(row.index, None) is not None:
            self._failed[row.phase] += not row.ok
            self._slow[row.phase] += row.latency_s > self._limit_s

    def lost_step(self) -> str | None:
        """Return the first step that can't be sustained any more, None while there is none."""
        slow = self._slow + self._overdue()
        for step, requests in self._planned.items():
            if not self._limits.allow(requests=requests, failed=self._failed[step], slow=slow[step]):
                return step
        return None

    def _overdue(self) -> Counter[str]:
        overdue: Counter[str] = Counter()
        for phase, due_s in self._waiting.values():  # in the order they were due
            if self._now() - due_s <= self._limit_s:
                break
            overdue[phase] += 1
        return overdue

    @property
    def _limit_s(self) -> float:
        return self._limits.p99_ms / 1e3
