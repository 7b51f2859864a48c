"""`/ping` says `HealthyBusy` while no slot is free, and `Healthy` while one is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.history import JoinedRequest, grouped
from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.evidence import PINGS, SERVER_SPANS
from harness.judge.levels import Level, is_full

MARGIN_S = 0.05
"""A look within so long of a change is not judged: the poll takes time, and so does the hand-over."""
ENOUGH_LOOKS = 10
"""Of each kind: at the limit, and below it."""


def _examine(case: Case) -> Finding:
    limit = case.history.facts.concurrency_limit
    worked = [request for request in case.history.requests if request.server is not None]
    changes = {name: _changes(of) for name, of in grouped(worked, lambda r: r.container or "").items()}
    looks: Counter[tuple[bool, bool]] = Counter()
    for ping in case.history.pings:
        at_limit = is_full(changes.get(ping.source, []), ping.time_s, limit, MARGIN_S)
        if at_limit is not None:
            looks[at_limit, ping.value > 0] += 1
    full, free = looks[True, True] + looks[True, False], looks[False, True] + looks[False, False]
    if min(full, free) < ENOUGH_LOOKS:
        return no_data(
            f"/ping was seen {full} times at the limit and {free} times below it; "
            f"{ENOUGH_LOOKS} of each are asked for"
        )
    wrong = max(looks[True, False] / full, looks[False, True] / free)
    return Finding(
        holds=wrong <= case.limit,
        observed=wrong,
        message=(
            f"/ping said Healthy in {looks[True, False]} of {full} looks at a full container, "
            f"and HealthyBusy in {looks[False, True]} of {free} at one with a free slot"
        ),
    )


def _changes(requests: Sequence[JoinedRequest]) -> list[Level]:
    """Return the requests in work from each change on."""
    steps = sorted(
        change for each in requests for change in ((each.taken_s or 0.0, 1), (each.done_s or 0.0, -1))
    )
    counted: list[Level] = []
    count = 0
    for time_s, step in steps:
        count += step
        counted.append(Level(time_s, count))
    return counted


INVARIANT = Invariant(
    id="ping-truthful",
    title="/ping tells whether a slot is free",
    limit=0.02,
    unit="1",
    remedy="Answer /ping from the count of requests in work, and never from a cached or constant status.",
    examine=_examine,
    needs=(SERVER_SPANS, PINGS),
)
