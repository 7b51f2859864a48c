"""The names of a request: derived, so that a row, its spans and a second look at the run agree."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """What a request is called.

    Attributes:
        request_id: unique in the run.
        trace_id: 32 hex digits.
        span_id: 16 hex digits: the client's span, the root of the trace.
    """

    request_id: str
    trace_id: str
    span_id: str

    @property
    def traceparent(self) -> str:
        """The W3C `traceparent` header, sampled."""
        return f"00-{self.trace_id}-{self.span_id}-01"


def identify(run_id: str, experiment: str, arm: str, index: int) -> Identity:
    """Name request `index` of an arm of a run."""
    digest = hashlib.sha256(f"{run_id}/{experiment}/{arm}/{index}".encode()).hexdigest()
    return Identity(
        request_id=f"{run_id}.{experiment}.{arm}.{index}", trace_id=digest[:32], span_id=digest[32:48]
    )
