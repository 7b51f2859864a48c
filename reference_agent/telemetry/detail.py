"""Which requests have a span for each use of the session store and of a tool, and not only for the whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace

_tracer = trace.get_tracer("reference_agent")
RANGE: Final = 2**64


class Detail:
    """Draws a share of the traces, by their ids: the same ones in every container.

    Args:
        share: of the traces, 0..1.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._below = share * RANGE

    def wanted(self) -> bool:
        """Return whether the trace that is under way has them."""
        return trace.get_current_span().get_span_context().trace_id % RANGE < self._below

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Put what is done within into a span, where that is wanted."""
        if not self.wanted():
            yield
            return
        with _tracer.start_as_current_span(name):
            yield
