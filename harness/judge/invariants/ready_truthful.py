"""`/readyz` says no while nothing can be kept, and yes again when the weather is over.

Each look at it counts that came while nothing could be kept in that container, after a second in which that
has to be noticed. What gives no answer in a second is not ready either. A container that says no at each look
from five seconds after the last weather to the end lies as well: no balancer sends there again, and one that
always says no would else tell the truth all the time. Where nobody saw it say yes after the weather, it is
not known whether it would.
"""

from __future__ import annotations

from harness.contract import READYZ
from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.weather import RECOVERY_S, blocked_at, blocks, weathers
from harness.records.history import ArmHistory, grouped

NOTICED_S = 1.0
ENOUGH_LOOKS = 8
ENOUGH_TO_THE_END = 2
"""Looks after the weather: one may have met a container that was full at that moment."""


def _examine(case: Case) -> Finding:
    history = case.history
    if not blocks(history):
        return no_data("the store could always be written")
    looks = [
        point
        for point in history.readiness
        if blocked_at(point.time_s, point.source, history, NOTICED_S)
        and blocked_at(point.time_s + point.took_s, point.source, history, NOTICED_S)
    ]
    if not looks:
        return no_data("nobody looked at /readyz while nothing could be kept")
    lies = sum(point.value > 0 for point in looks)
    stayed, seen = _stayed_unready(history)
    share = max(lies / len(looks), len(stayed) / max(1, seen))
    unseen = _not_seen_ready(history, {point.source for point in looks}) - {*stayed}
    said = f"; {', '.join(stayed)} said no to the end, when the weather was long over" if stayed else ""
    if unseen:
        said += f"; nobody saw {', '.join(sorted(unseen))} ready again: let the load last longer"
    return Finding(
        holds=None if unseen and share <= case.limit else share <= case.limit,
        observed=share,
        message=f"{lies} of {len(looks)} looks at /readyz found it ready while no turn could be kept{said}",
        cases=len(looks),
    )


def _stayed_unready(history: ArmHistory) -> tuple[list[str], int]:
    """Return the containers that never were ready after the last weather, and how many were looked at."""
    facts = history.facts
    clear_s = facts.start_s + max(window.to_s for window in weathers(history)) + RECOVERY_S
    there = {container.name for container in facts.containers if container.left_s is None}
    late = [p for p in history.readiness if p.source in there and clear_s <= p.time_s <= facts.end_s]
    enough = {
        name: looks
        for name, looks in grouped(late, lambda point: point.source).items()
        if len(looks) >= ENOUGH_TO_THE_END
    }
    return [name for name, looks in enough.items() if not any(p.value > 0 for p in looks)], len(enough)


def _not_seen_ready(history: ArmHistory, names: set[str]) -> set[str]:
    """Return those of some containers that are still there, and never said yes after the last weather."""
    facts = history.facts
    over_s = facts.start_s + max(window.to_s for window in weathers(history))
    there = {container.name for container in facts.containers if container.left_s is None}
    return names & there - {p.source for p in history.readiness if p.value > 0 and p.time_s >= over_s}


INVARIANT = Invariant(
    id="ready-truthful",
    title="/readyz says no while nothing can be kept, and yes after it",
    limit=0.05,
    unit="1",
    timing=True,
    remedy=f"Let {READYZ} try at each look what a save does: a write, over the connections of requests.",
    case="looks at /readyz while nothing could be kept",
    cases_needed=ENOUGH_LOOKS,
    more_cases="Let the weather last longer.",
    examine=_examine,
)
