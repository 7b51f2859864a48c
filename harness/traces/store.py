"""The traces that a page can show: those of a run folder, or of a fleet that is up, as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.capture.decode import spans as spans_of_lines
from harness.capture.decode import spans_since
from harness.errors import InputError
from harness.records.seen import Span
from harness.run.folder import SPANS, RunFolder

MOST_SPANS: Final = 300_000
"""Spans that are kept, some 500 MB; the oldest traces of more are dropped, and counted."""
LATEST_NS: Final = 1 << 64
"""The year 2554: what comes in has no later time."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace of at least one span.

    Attributes:
        spans: in the order they begin.
        root: the span that has no parent here; the first of several.
    """

    spans: tuple[Span, ...]
    root: Span

    @property
    def trace_id(self) -> str:
        """Its id, hex."""
        return self.root.trace_id

    @property
    def begin_ns(self) -> int:
        """When its first span begins."""
        return self.spans[0].start_ns

    @property
    def duration_s(self) -> float:
        """Seconds from the begin of its first span to the end of the last one."""
        return max(max(span.end_ns for span in self.spans) - self.begin_ns, 0) / 1e9

    @property
    def failed(self) -> bool:
        """Whether a span of it did."""
        return any(span.error for span in self.spans)


def trace_of(spans: Iterable[Span]) -> Trace:
    """Put spans together to a trace; one that came twice is in it once."""
    unique = {span.span_id: span for span in spans}
    ordered = tuple(sorted(unique.values(), key=lambda span: (span.start_ns, -span.end_ns)))
    roots = [span for span in ordered if span.parent_span_id not in unique]
    return Trace(
        ordered, next((span for span in roots if span.parent_span_id is None), (roots or ordered)[0])
    )


@dataclass
class TraceStore:
    """Traces by their ids.

    Attributes:
        more: returns the spans that came since it was called last.
        most_spans: that are kept.
        dropped: traces that were not.
    """

    more: Callable[[], Iterable[Span]]
    most_spans: int = MOST_SPANS
    dropped: int = 0
    _spans: dict[str, list[Span]] = field(default_factory=dict)
    _count: int = 0

    def refresh(self) -> None:
        """Take in what came."""
        for span in self.more():
            self._spans.setdefault(span.trace_id, []).append(span)
            self._count += 1
            while self._count > self.most_spans and len(self._spans) > 1:
                self._count -= len(self._spans.pop(next(iter(self._spans))))
                self.dropped += 1

    def traces(self) -> Iterator[Trace]:
        """Yield all, in the order in which they came."""
        return (trace_of(spans) for spans in list(self._spans.values()))

    def find(self, trace_id: str) -> Trace | None:
        """Return a trace, None when there is none of this id."""
        spans = self._spans.get(trace_id.lower())
        return trace_of(spans) if spans else None


def of_capture(raw: Path) -> TraceStore:
    """Return the traces of a capture that still receives."""
    at = 0

    def more() -> Iterable[Span]:
        nonlocal at
        found, at = spans_since(raw, at)
        return found

    return TraceStore(more)


def of_run(folder: Path, tell: Callable[[str], None] = lambda _: None) -> TraceStore:
    """Return the traces of a run folder.

    Args:
        folder: of the run.
        tell: is told what could not be read of it, a sentence each.

    Raises:
        InputError: it has none, or a line of them is damaged.
    """
    file = folder / SPANS
    if not file.is_file():
        raise InputError(f"{file}: is not there. Name a folder that `agentrig run` or `agentrig gate` wrote.")
    read = False

    def more() -> Iterable[Span]:
        nonlocal read
        if read:
            return
        read = True
        run = RunFolder(folder)
        for span in spans_of_lines(run.lines(SPANS), str(file)):
            if not (0 <= span.start_ns < LATEST_NS and 0 <= span.end_ns < LATEST_NS):
                raise InputError(
                    f"{file}: is damaged: a span of {span.trace_id[:32]!a} has no time that can be"
                )
            yield span
        for sentence in run.left_out:
            tell(sentence)

    return TraceStore(more)
