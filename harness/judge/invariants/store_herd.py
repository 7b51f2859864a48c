"""Those whom the store has failed together don't come back together.

A store that is started again breaks all connections at one instant, and finds out whether those who waited
draw their pauses. Looked at are the connections that are opened in the second after that: the largest share
of them within 20 ms.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.judge.case import Case, Finding, Invariant, at_most, no_data
from harness.judge.weather import weathers
from harness.quantiles import fullest

BREAKS = {"restart", "reset"}
"""Weather that breaks all connections at one instant: at its end, or at its begin."""
WITHIN_S = 1.0
WINDOW_S = 0.020
ENOUGH_CONNECTIONS = 10
"""Drawn over 0.1 s, so many put eight of ten into 20 ms in less than one of 100 draws: seven more of nine
beside any one, 0.03 %, for each of ten. A connection that is there again serves several who had waited."""


def _examine(case: Case) -> Finding:
    facts = case.history.facts
    breaks = [w for w in weathers(case.history) if w.name in BREAKS]
    if not breaks:
        return no_data("no weather broke all connections at once")
    times_s = [each.opened_s for each in facts.connections if each.target == "store"]
    broken_s = [facts.start_s + (each.to_s if each.name == "restart" else each.from_s) for each in breaks]
    opened = [[t for t in times_s if at_s < t <= at_s + WITHIN_S] for at_s in broken_s]
    enough = [sorted(each) for each in opened if len(each) >= ENOUGH_CONNECTIONS]
    if not enough:
        most = max(map(len, opened))
        return Finding(holds=None, observed=None, message=f"only {most} came back to the store", cases=most)
    worst_of = max(enough, key=_share)
    share = _share(worst_of)
    what = f"of {len(worst_of)} connections that were opened after a break, largest share within 20 ms"
    return at_most(case, share, what, cases=len(worst_of))


def _share(times_s: Sequence[float]) -> float:
    return len(fullest(WINDOW_S, times_s)) / len(times_s)


INVARIANT = Invariant(
    id="store-herd",
    title="no herd comes back to the store",
    limit=0.75,
    unit="1",
    timing=True,
    remedy="Draw the pause before a command is tried again.",
    case="connections that were opened after one break",
    cases_needed=ENOUGH_CONNECTIONS,
    more_cases="Let more requests wait for the store when it breaks.",
    examine=_examine,
)
