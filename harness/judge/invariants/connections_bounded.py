"""TCP connections to the model do not grow with requests.

A pool opens a connection when all that it has are in use, and then uses it again. So a call that comes while
its container has a connection that is idle has no need of a new one. Idle is one whose last call ended well,
a hand-over ago at the least, and not so long ago that a client may have closed it. A shared client opens next
to none of these calls a connection, a client per request one each, and one that is built anew for every tenth
request one of ten.

Calls over a connection of which no container is known may be those of such a client, one that hands no trace
on: where there are more than a few of them, what holds for the others is unknown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import MODEL_CALLS
from harness.records.history import ArmHistory
from harness.records.seen import JournalRow

HANDOVER_S = 0.1
"""A busy event loop may give a connection back so long after the simulator has sent the last byte."""
SHARED = 0.01
"""Above this share of the calls, connections are shared: whose each is can't be told, nor who opened it."""
KEPT_S = 3.0
"""Clients keep an idle connection for 4 s (undici), 5 s (httpx) and longer."""
ENOUGH_CALLS = 70
"""With a limit of 1 in 50, a client that is built anew for one request in ten is found in 99 of 100 runs:
of 70 calls, one or none opens a connection then with a chance of `0.9^70 + 70 * 0.1 * 0.9^69` = 0.6 %."""


@dataclass(frozen=True, slots=True)
class CallOfAPool:
    """A call that came while its container had an idle connection, and whether it opened a new one."""

    row: JournalRow
    opened: bool


def _examine(case: Case) -> Finding:
    journal = case.history.journal
    if not journal:
        return no_data("the simulator received no call")
    if (shared := _of_others(case.history)) > SHARED * len(journal):
        return no_data(
            f"{shared} calls came over a connection of another container: something stands between"
        )
    calls = _calls_beside_an_idle_connection(case.history)
    known = _containers(case.history)
    of_nobody = [
        row for row in journal if row.connection not in known and row.time_s >= case.history.facts.start_s
    ]
    opened = [call for call in calls if call.opened]
    share = len(opened) / len(calls) if calls else 0.0
    connections = len({row.connection for row in journal})
    return Finding(
        holds=share <= case.limit,
        observed=share,
        message=(
            f"{connections} connections for {len(journal)} model calls; of {len(calls)} calls that came "
            f"while their container had an idle one {len(opened)} opened another: {share:.1%}, "
            f"limit {case.limit:.1%}"
        ),
        traces=worst(call.row.trace_id for call in opened),
        cases=len(calls),
        expected=len(calls) + len(of_nobody),
    )


def _of_others(history: ArmHistory) -> int:
    """Count the calls over connections that most calls of another container came over."""
    users: dict[int, Counter[str]] = defaultdict(Counter)
    for request in history.requests:
        if request.container is not None and not history.sent_again(request):
            for row in request.journal:
                users[row.connection][request.container] += 1
    return sum(counts.total() - max(counts.values()) for counts in users.values())


def _calls_beside_an_idle_connection(history: ArmHistory) -> list[CallOfAPool]:
    container_of = _containers(history)
    pools: dict[str, dict[int, JournalRow]] = defaultdict(dict)
    seen: set[int] = set()
    found = []
    for row in history.journal:
        new = row.connection not in seen
        seen.add(row.connection)
        container = container_of.get(row.connection)
        if container is None:
            continue
        pool = pools[container]
        for connection in [each for each, last in pool.items() if last.end_s < row.time_s - KEPT_S]:
            del pool[connection]
        if any(last.answered and last.end_s <= row.time_s - HANDOVER_S for last in pool.values()):
            found.append(CallOfAPool(row, new))
        pool[row.connection] = max(row, pool.get(row.connection, row), key=lambda each: each.end_s)
    return found


def _containers(history: ArmHistory) -> dict[int, str]:
    """Return whose each connection is, where one of its calls is of a request that a container worked on."""
    container_of = {request.row.trace_id: request.container for request in history.requests}
    found: dict[int, str] = {}
    for row in history.journal:
        container = container_of.get(row.trace_id or "")
        if container is not None:
            found.setdefault(row.connection, container)
    return found


INVARIANT = Invariant(
    id="connections-bounded",
    title="connections to the model do not grow with requests",
    limit=0.02,
    unit="1",
    remedy="Share one client per container, and read streamed answers to their end.",
    case="calls that came while their container had an idle connection",
    cases_needed=ENOUGH_CALLS,
    more_cases="Send more requests, with less than three seconds between them.",
    examine=_examine,
    instants=True,  # a container that gets no core gives a connection back later than that
    needs=(MODEL_CALLS,),
)
