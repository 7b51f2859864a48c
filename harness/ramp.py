"""When a step of a ramp is sustained: what the load stops by, and what the analysis judges by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PREFIX: Final = "ramp-"
ROUNDING: Final = 1e-9
"""0.07 * 100 is a little more than 7 in floating point."""


@dataclass(frozen=True, slots=True)
class RampLimits:
    """What a step has to stay within.

    Attributes:
        p99_ms: latency from the intended start, of all requests, failed ones included.
        error_ratio: share of the requests that may fail.
    """

    p99_ms: float
    error_ratio: float

    def allow(self, *, requests: int, failed: int, slow: int) -> bool:
        """Return whether a step is sustained.

        Args:
            requests: that it has.
            failed: those that failed.
            slow: those that took longer than `p99_ms`: the p99 is within it while these are one in a
                hundred at the most.
        """
        return failed <= self.error_ratio * requests + ROUNDING and slow * 100 <= requests


def phase_of(rate_rps: float) -> str:
    """Return the name of the step at a rate."""
    return f"{PREFIX}{rate_rps:g}"


def rate_of(phase: str) -> float | None:
    """Return the rate of a step in requests/s, None for a phase that is not a step."""
    return float(phase.removeprefix(PREFIX)) if phase.startswith(PREFIX) else None
