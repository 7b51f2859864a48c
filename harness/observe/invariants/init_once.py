"""Each client is built once per container, as on a bench, but for containers that are started anew.

A pod, or a container that is restarted, has its old name, unless its agent takes a new instance id at each
start: its clients are built again then, and nothing but that tells of it. So what is built again once nothing
was in work there may be of a new process, unless it is that often.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Final

from harness import contract
from harness.judge.case import Case, Finding
from harness.judge.evidence import INIT_SPANS
from harness.judge.invariants import init_once
from harness.observe.evidence import CONTAINERS
from harness.records.seen import Span

START_NS: Final = 100_000_000
"""No agent starts faster than that: for so long at the least nothing is in work."""
REQUESTS_OF_A_LIFE: Final = init_once.ENOUGH_REQUESTS
"""Who builds its clients again more often than after so many is taken at its word."""
Interval = tuple[int, int]


def _examine(case: Case) -> Finding:
    found = init_once.INVARIANT.examine(case)
    if found.holds is not False:
        return found
    built, came = _built(case), Counter(each.container for each in case.history.requests)
    work: defaultdict[str | None, list[Interval]] = defaultdict(list)
    for each in case.history.requests:
        if each.server is not None:
            work[each.container].append((each.server.start_ns, each.server.end_ns))
    restarted = list[str]()
    for name, clients in built.items():
        again = [pair for mine in clients.values() for pair in pairwise(mine)]
        # those of before were looked at when the requests of then were
        most = max(Counter(_client(later) for _, later in again if _is_of(case, later)).values(), default=0)
        if came[name] >= REQUESTS_OF_A_LIFE and most * REQUESTS_OF_A_LIFE > came[name]:
            return found
        if not all(_was_idle(sorted(work[name]), one.end_ns, later.start_ns) for one, later in again):
            return found
        restarted += [str(name)] if again else []
    if not restarted:
        return found
    return replace(
        found,
        holds=None,
        message=(
            f"{min(restarted)} built its clients again after it had nothing in work: it may be another "
            "process by that name. Let `service.instance.id` be new at each start; it is told then. Seen: "
            f"{found.message}"
        ),
    )


def _built(case: Case) -> dict[str | None, dict[str, list[Span]]]:
    """Return the first builds that worked, by container and client, in order."""
    found: defaultdict[str | None, defaultdict[str, list[Span]]] = defaultdict(lambda: defaultdict(list))
    for span in sorted(case.history.inits, key=lambda span: span.start_ns):
        if span.attributes.get(contract.CLIENT_INIT_STATE) == "cold" and not span.error:
            found[span.instance][_client(span)].append(span)
    return {name: dict(clients) for name, clients in found.items() if name is not None}


def _client(span: Span) -> str:
    return str(span.attributes.get(contract.CLIENT_NAME))


def _is_of(case: Case, span: Span) -> bool:
    return span.start_ns >= case.history.facts.start_s * 1e9


def _was_idle(work: list[Interval], from_ns: int, until_ns: int) -> bool:
    """Whether a container had nothing in work for as long as a start takes, at some time between two builds.

    Args:
        work: from when to when it was at work, in order.
        from_ns: when the one build was done.
        until_ns: when the other one began.
    """
    over_ns = from_ns
    for begin_ns, end_ns in work:
        if begin_ns >= until_ns:
            break
        if end_ns <= from_ns:
            continue
        if begin_ns - over_ns >= START_NS:
            return True
        over_ns = max(over_ns, end_ns)
    return until_ns - over_ns >= START_NS


INVARIANT = replace(
    init_once.INVARIANT,
    examine=_examine,
    needs=(INIT_SPANS, CONTAINERS),
    more_cases="Look at a longer time.",
)
