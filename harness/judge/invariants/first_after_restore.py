"""The first request after a restore is answered, and its caller pays for nothing of the life before.

The connections of a snapshot are dead, and its tokens have expired. A container that uses them learns so by
an error. It may well try again; the first caller has waited for that. So no model call may have been refused
for a key of before, and no connection of the snapshot may have been used by anybody. First callers come
together: each of them has to be answered, also those that find the clients being renewed. A container whose
connections to the model were not seen is no case: its dead ones would not have been, either.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.records.history import ArmHistory
from harness.records.weather import RestoredCopy

ENOUGH_COPIES = 4


def _examine(case: Case) -> Finding:
    copies = case.history.facts.restored
    if not copies:
        return no_data("no container was restored from a snapshot")
    wrong = {copy.trace_id: said for copy in copies if (said := "; ".join(_wrong(copy, case.history)))}
    since_s = min(copy.restored_s for copy in copies)
    refused = sum(row.source == "auth" and row.time_s >= since_s for row in case.history.journal)
    seen = _seen(case.history)
    first = f": {next(iter(wrong.values()))}" if wrong else ""
    slowest_s = max(copy.took_s for copy in copies)
    return Finding(
        holds=max(len(wrong), refused) <= case.limit,
        observed=float(max(len(wrong), refused)),
        message=f"{len(wrong)} of {len(copies)} restored containers made their first caller pay, who waited "
        f"{slowest_s:.2f} s at the most; {refused} model calls were refused for a key of before{first}",
        traces=worst(wrong),
        cases=sum(copy.container in seen for copy in copies),
        expected=len(copies),
    )


def _seen(history: ArmHistory) -> set[str]:
    """Return the containers whose connections were seen: to the model, where they call it."""
    connections = history.facts.connections
    return {each.container for each in connections if each.target == "model" or not history.journal}


def _wrong(copy: RestoredCopy, history: ArmHistory) -> Iterator[str]:
    """Say what was wrong with the first request of a copy."""
    if copy.error is not None or not 200 <= copy.status < 300:  # noqa: PLR2004 - HTTP's success
        yield f"{copy.container} answered {copy.status or 'nothing'}, {copy.error}"
    if copy.failed:
        yield f"{copy.container} failed {len(copy.failed)} of those that came with it: {copy.failed[0]}"
    mine = (each for each in history.facts.connections if each.container == copy.container)
    if dead := sum(each.dead_used for each in mine):
        yield f"{copy.container} used dead connections: {dead}"


INVARIANT = Invariant(
    id="first-after-restore",
    title="the first request after a restore costs its caller nothing",
    limit=0,
    unit="{container}",
    remedy="Notice the restore before the request is worked on (the clock jumps against the monotonic one), "
    "and build clients and pools anew; or look whether a connection still lives before it is used.",
    case="restored containers whose connections were seen",
    cases_needed=ENOUGH_COPIES,
    more_cases="Restore more containers, and let them call by the addresses that they are given.",
    examine=_examine,
)
