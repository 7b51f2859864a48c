"""Counts the spans of run folders that Jaeger would take for those of a skewed clock.

    python -m tests.proof.skewed_spans FOLDER ...

Jaeger warns of a span that is no longer than its parent and does not lie within it, and of one that is
longer and begins before it, unless the processes of both tell the same `ip` (its `ClockSkew` adjuster). It
warns, too, of a span whose parent is not there. Ends with 1 where there is one of these, and with 2 where a
folder has no span: that proves nothing. What lies outside of its parent on one machine is told beside that: a
child that ends when its answer is sent, and a parent that ends when it has come.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness import contract
from harness.capture.decode import spans
from harness.records.seen import Span
from harness.run.folder import SPANS, RunFolder

MOST_TOLD: Final = 10
"""Kinds of spans outside of their parents, the most frequent first."""


@dataclass
class Skewed:
    """What there is of it.

    Attributes:
        traces: all there are.
        spans: all there are.
        warned: ids of the traces with a span that Jaeger would warn of.
        skewed: spans that it takes for those of a skewed clock.
        outside: spans outside of their parents, by both names.
        most_ns: how far, at most, by both names.
        orphans: spans whose parent is not there, by name.
    """

    traces: int = 0
    spans: int = 0
    warned: set[str] = field(default_factory=set)
    skewed: int = 0
    outside: Counter[str] = field(default_factory=Counter)
    most_ns: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    orphans: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """Say it."""
        first = (
            f"{self.spans} spans in {self.traces} traces: {len(self.warned)} traces with a warning "
            f"({self.skewed} spans of a skewed clock, {self.orphans.total()} without their parent); "
            f"{self.outside.total()} spans outside of their parents"
        )
        outside = [
            f"  {count} {pair}, by {self.most_ns[pair] / 1000:.1f} µs at most"
            for pair, count in self.outside.most_common(MOST_TOLD)
        ]
        orphans = [f"  {count} {name}: no parent" for name, count in self.orphans.most_common(MOST_TOLD)]
        return [first, *outside, *orphans]


def outside_ns(span: Span, parent: Span) -> int:
    """Return by how much a span lies outside of its parent, as Jaeger looks at it; 0 where it does not."""
    before_ns, after_ns = max(parent.start_ns - span.start_ns, 0), max(span.end_ns - parent.end_ns, 0)
    is_longer = span.end_ns - span.start_ns > parent.end_ns - parent.start_ns
    return before_ns if is_longer else max(before_ns, after_ns)


def of_one_clock(span: Span, parent: Span) -> bool:
    """Return whether Jaeger knows that both were timed on one machine."""
    where = span.resource.get(contract.ONE_CLOCK)
    return bool(where) and where == parent.resource.get(contract.ONE_CLOCK)


def skewed(seen: Iterable[Span]) -> Skewed:
    """Count those of many traces."""
    traces: dict[str, dict[str, Span]] = defaultdict(dict)
    for span in seen:
        traces[span.trace_id][span.span_id] = span
    found = Skewed(traces=len(traces), spans=sum(map(len, traces.values())))
    for trace_id, of_trace in traces.items():
        for span in of_trace.values():
            if span.parent_span_id is None:
                continue
            parent = of_trace.get(span.parent_span_id)
            if parent is None:
                found.orphans[f"{span.service} {span.name}"] += 1
            elif by_ns := outside_ns(span, parent):
                pair = f"{span.service} {span.name} outside of {parent.service} {parent.name}"
                found.outside[pair] += 1
                found.most_ns[pair] = max(found.most_ns[pair], by_ns)
                if of_one_clock(span, parent):
                    continue
                found.skewed += 1
            else:
                continue
            found.warned.add(trace_id)
    return found


def main() -> None:
    """Count those of the folders that are named."""
    found = {name: skewed(spans(RunFolder(Path(name)).lines(SPANS), name)) for name in sys.argv[1:]}
    for name, told in found.items():
        print(f"{name}: " + "\n".join(told.lines()))
    if any(told.warned for told in found.values()):
        sys.exit(1)
    sys.exit(0 if found and all(told.spans for told in found.values()) else 2)


if __name__ == "__main__":
    main()
