"""The tail of each part of a request: what 12 ms more in 3 % of all session loads does, one p99 hides.

The parts are those of `harness/analysis/tail.py`, from the spans that an agent emits; an agent without spans
has none, and nothing is compared then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from harness import contract
from harness.analysis.tail import split
from harness.capture.decode import spans_since
from harness.clock import Clock
from harness.gate.blocks import TOOL_CALLS, Measure
from harness.gate.statistics import Tolerance
from harness.quantiles import quantile
from harness.records.history import JoinedRequest
from harness.records.seen import Span

RESTLESS: Final = Tolerance(fine=1.25, bad=math.inf, gross=4.0)
"""The tail of a part is too restless to be bounded: it is green unless it is proved to have grown."""
FLOOR_MS: Final = 5.0
"""Added to both sides before they are divided: three times a millisecond is nothing."""
SESSION: Final = Measure(name="session p99", unit="ms", tolerance=RESTLESS, floor=FLOOR_MS)
MODEL: Final = Measure(name="model wait p99", unit="ms", tolerance=RESTLESS, floor=FLOOR_MS)
TOOLS: Final = Measure(name="tools p99", unit="ms", tolerance=RESTLESS, floor=FLOOR_MS)
BACKOFF: Final = Measure(name="backoff p99", unit="ms", tolerance=RESTLESS, floor=FLOOR_MS)
OWN: Final = Measure(name="agent's own p99", unit="ms", tolerance=RESTLESS, floor=FLOOR_MS)
PARTS: Final[Mapping[str, tuple[Measure, tuple[str, ...]]]] = {
    each.name: (each, names)
    for each, names in (
        (SESSION, ("session",)),
        (MODEL, ("first token", "model")),
        (TOOLS, ("tools",)),
        (BACKOFF, ("backoff",)),
        (OWN, ("agent",)),
    )
}
"""By name of the measure: it, and what it adds up."""
MOST_UNTOLD: Final = 0.10
"""Above this share of successes without a span of the agent, its parts are not known."""
SPANS_WITHIN_S, POLL_S = 5.0, 0.2
"""Agents send their spans twice a second; so long they are waited for."""


def part_s(request: JoinedRequest, measure: str) -> float:
    """Return the seconds that a part of a request took."""
    parts = split(request)
    return sum(parts[name] for name in PARTS[measure][1])


def part_figures(requests: Sequence[JoinedRequest]) -> dict[str, float]:
    """Return the p99 of each part over the successes of a block, in ms, and their tool calls.

    Empty where spans tell of too few of them.
    """
    good = [request for request in requests if request.row.ok]
    told = [request for request in good if request.server is not None]
    if not told or len(told) < (1 - MOST_UNTOLD) * len(good):
        return {}
    parts_of = [split(request) for request in told]
    tails = {
        name: quantile([sum(each[part] for part in parts) for each in parts_of], 0.99)
        for name, (_, parts) in PARTS.items()
    }
    figures = {name: tail_s * 1e3 for name, tail_s in tails.items() if tail_s is not None}
    return figures and figures | {TOOL_CALLS.name: sum(map(_tool_calls, told)) / len(told)}


def _tool_calls(request: JoinedRequest) -> int:
    return sum(
        span.of_agent and span.attributes.get(contract.OPERATION) == "execute_tool" for span in request.spans
    )


class SpanReader:
    """Reads the spans of one fleet block by block, while it is up.

    Args:
        raw: what its capture received.
        clock: for waiting.
    """

    def __init__(self, raw: Path, clock: Clock) -> None:
        self._raw = raw
        self._clock = clock
        self._at = 0
        self._silent = False

    def of(self, traces: Sequence[str]) -> list[Span]:
        """Return the spans of some traces that came since the last call.

        It waits until the agents told of each, for `SPANS_WITHIN_S` at the most; not at all once they were
        found to tell nothing.
        """
        wanted, found = set(traces), list[Span]()
        until_s = self._clock.monotonic() + SPANS_WITHIN_S
        while True:
            came, self._at = spans_since(self._raw, self._at)
            found += [span for span in came if span.trace_id in wanted]
            told = {span.trace_id for span in found if span.kind == "server" and span.of_agent}
            if told >= wanted or self._silent:
                return found
            if self._clock.monotonic() >= until_s:
                self._silent = not told
                return found
            self._clock.sleep(POLL_S)
