"""Traces for tests."""

from typing import Any

from harness.records.seen import Span
from harness.traces.store import TraceStore

BEGIN_NS = 1_700_000_000_000_000_000


def span(trace: int, number: int, name: str = "work", took_ms: float = 10.0, **more: Any) -> Span:
    """Return span `number` of trace `trace`; 1 is its root, and the parent of all others."""
    begin_ns = BEGIN_NS + trace * 1_000_000_000 + number * 1_000_000
    about: dict[str, Any] = {
        "kind": "internal",
        "service": "agent",
        "instance": "agent-1",
        "parent_span_id": None if number == 1 else f"{1:016x}",
    }
    return Span(
        trace_id=f"{trace:032x}",
        span_id=f"{number:016x}",
        name=name,
        start_ns=begin_ns,
        end_ns=begin_ns + int(took_ms * 1e6),
        **(about | more),
    )


def store(*spans: Span, most_spans: int = 1000) -> TraceStore:
    """Return a store that gets these spans at once."""
    waiting = list(spans)

    def more() -> list[Span]:
        now, waiting[:] = list(waiting), []
        return now

    return TraceStore(more, most_spans=most_spans)
