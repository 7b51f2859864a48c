"""The highest rate that is sustained, from the steps of a ramp."""

from __future__ import annotations

from harness.ramp import RampLimits, rate_of
from harness.records.history import ArmHistory


def sustained_rps(history: ArmHistory) -> float | None:
    """Return the rate of the highest step that was sustained, and all before it.

    0.0 when the first was not, None without a ramp. A step that was never sent is not sustained.
    """
    facts, highest_rps = history.facts, 0.0
    if facts.ramp_p99_ms is None or facts.ramp_error_ratio is None:
        return None
    limits = RampLimits(facts.ramp_p99_ms, facts.ramp_error_ratio)
    for window in facts.windows:
        rate_rps = rate_of(window.name)
        if rate_rps is None:
            continue
        rows = [request.row for request in history.requests if request.row.phase == window.name]
        failed = sum(not row.ok for row in rows)
        slow = sum(row.latency_s * 1e3 > limits.p99_ms for row in rows)
        if not rows or not limits.allow(requests=len(rows), failed=failed, slow=slow):
            break
        highest_rps = rate_rps
    return highest_rps
