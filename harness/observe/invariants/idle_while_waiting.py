"""No container idles while a request waits, as on a bench, but for callers that are far away.

A bench's caller is on the same machine, and what takes longer than the routing delay is a wait. From another
region, or where each request opens a connection, the way takes longer than that, and nobody waits: those tell
how long it is that went to a container with a free slot.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from harness.judge.case import Case, Finding
from harness.judge.invariants import idle_while_waiting
from harness.observe.evidence import CONTAINERS, WAITS
from harness.records.history import ROUTING_DELAY_S, grouped

QUICKEST: Final = 0.01
"""Where so many take no longer than the routing delay, the way is no longer, and the others wait."""
MS: Final = 1e3


def _examine(case: Case) -> Finding:
    found = idle_while_waiting.INVARIANT.examine(case)
    if found.holds is not False:
        return found
    ways_s = sorted(_ways_s(case)) or [0.0]
    way_s = ways_s[int(QUICKEST * len(ways_s))]
    if way_s <= ROUTING_DELAY_S:
        return found
    said = (
        f"requests to containers with a free slot begin {way_s * MS:.0f} ms after they were sent, or later: "
        "so long a way looks like a wait"
    )
    return replace(found, holds=None, message=f"{said}. Seen was: {found.message}")


def _ways_s(case: Case) -> Iterator[float]:
    """Yield how long those were under way whose container had a slot free all that time."""
    limit = case.history.facts.concurrency_limit
    worked = [each for each in case.history.requests if each.server is not None]
    for mine in grouped(worked, lambda each: each.container).values():
        begins = sorted(each.taken_s or 0.0 for each in mine)
        ends = sorted(each.done_s or 0.0 for each in mine)
        for each in mine:
            taken_s, due_s = each.taken_s or 0.0, each.row.due_s
            at_work = bisect_left(begins, taken_s) - bisect_right(ends, due_s)
            # whose caller sends no span was under way for no time that anybody knows
            has_caller = each.server is not None and each.row.span_id != each.server.span_id
            if has_caller and at_work < limit:
                yield each.wait_s


INVARIANT = replace(
    idle_while_waiting.INVARIANT,
    examine=_examine,
    needs=(CONTAINERS, WAITS),
    more_cases="Look at a longer time.",
)
