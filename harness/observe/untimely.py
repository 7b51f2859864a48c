"""What is not judged as it is of another time, or says so: counted, and told where it could hide a fault.

Traces that lie in the time which is looked at are judged, whole ones alone. Of the others most are older, or
of the last seconds, and the look before or the next one has them. But those of a container whose clock is
ahead end in the future at each look; those of one whose clock is behind begin before each time; what takes as
long as the time that is looked at fits into none; and what is dated in another unit is of no time at all.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from harness.observe.processes import Process, process_of
from harness.records.seen import Span

Why = Literal["ahead", "long", "undated"]
SHARE: Final = 0.001
"""Above this share of a service's traces, they are more than a moment's at an edge."""
LONG: Final = 0.1
"""Of the time that is looked at: of traces so long, more than one in ten reaches beyond it."""
FROM_NS: Final = 946_684_800 * 10**9
UNTIL_NS: Final = 4_102_444_800 * 10**9
"""The years from 2000 to 2099. Seconds, milliseconds and microseconds that are taken for nanoseconds are of
1970; nanoseconds that are taken for microseconds, of no year that a calendar has."""
MOST_NAMED: Final = 3
SAID: Final[dict[Why, tuple[str, str]]] = {
    "ahead": (
        "end in the future",
        "the clock of who sent them is ahead, or that of this machine behind",
    ),
    "long": (
        "reach beyond the time that is looked at, and last longer than a tenth of it",
        "look at a longer time, or set the clocks right that make them seem so",
    ),
    "undated": (
        "have spans of before 2000 or after 2099, which are left out",
        "their times are in another unit than the format has, or a clock was never set",
    ),
}
"""What such traces do, and why or what to do."""


def _never() -> float:
    return math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The time whose traces are judged.

    Attributes:
        from_s: traces that began before (Unix) are left out whole; None for none.
        until_s: so are those that ended later.
        now: returns the time (Unix): nothing that is there has ended later.
    """

    from_s: float | None = None
    until_s: float | None = None
    now: Callable[[], float] = _never

    def leaves_out(self, trace: Sequence[Span]) -> Why | Literal["", "earlier or later"]:
        """Return why a trace is not judged; an empty text where it is."""
        begin_s = min(span.start_ns for span in trace) / 1e9
        end_s = max(span.end_ns for span in trace) / 1e9
        before = self.from_s is not None and begin_s < self.from_s
        after = self.until_s is not None and end_s > self.until_s
        if not before and not after:
            return ""
        if after and end_s > self.now():
            return "ahead"
        if self.from_s is None or self.until_s is None or end_s < self.from_s:
            return "earlier or later"
        return "long" if end_s - begin_s > LONG * (self.until_s - self.from_s) else "earlier or later"


@dataclass
class Untimely:
    """What was left out of a service.

    Attributes:
        traces: how many, by why.
        processes: that sent them, by why.
        is_agents: whether the service works there as an agent does.
    """

    traces: Counter[Why] = field(default_factory=Counter)
    processes: dict[Why, dict[Process, str]] = field(default_factory=dict)
    is_agents: bool = False

    def add(self, why: Why, spans: Sequence[Span], *, is_agents: bool) -> None:
        """Note the spans of the service in one trace."""
        self.traces[why] += 1
        self.is_agents |= is_agents
        for span in spans:
            known = self.processes.setdefault(why, {})
            known.setdefault(process_of(span), span.instance or span.service)

    def told(self, judged: int, heard: Container[Process]) -> Iterator[str]:
        """Yield a sentence for each reason by which more was left out than a moment's.

        Args:
            judged: traces of the service that were not left out.
            heard: processes of which some were not.
        """
        for why, count in self.traces.items():
            unheard = [name for process, name in self.processes[why].items() if process not in heard]
            if count <= SHARE * (judged + count) and not unheard:
                continue
            what, cause = SAID[why]
            named = ", ".join(unheard[:MOST_NAMED])
            more = f" and {len(unheard) - MOST_NAMED} more" if len(unheard) > MOST_NAMED else ""
            nothing = f"; of {named}{more} nothing is judged" if unheard else ""
            yield f"{count} traces {what}, and {judged} are judged{nothing}: {cause}"
