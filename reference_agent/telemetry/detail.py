"""Which requests have a span for each use of the session store and of a tool, and not only for the whole."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
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

    def span(self, name: str, attributes: Mapping[str, str] | None = None) -> AbstractContextManager[None]:
        """Put what is done within into a span, where that is wanted."""
        return _Recorded(_tracer.start_span(name, attributes=attributes)) if self.wanted() else nullcontext()


class _Recorded:
    """Ends a span that is never the current one, for nothing is begun below it: that halves its cost."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is not None:
            self._span.set_attribute("error.type", kind.__name__)
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()
