"""Those whom the store has failed together don't come back together.

A store that is started again breaks all connections at one instant, and finds out whether those who waited
draw their pauses. Looked at are the connections that are opened in a second after that: the largest share of
them within 20 ms. And in each other second of the five that follow, until other weather begins: who comes
back after a pause that is always the same comes then. A look at `/readyz` may open one; that is left out, for
it is we who look at all at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from math import inf

from harness.judge.case import Case, Finding, Invariant, at_most, no_data
from harness.judge.weather import RECOVERY_S, weathers
from harness.quantiles import fullest
from harness.records.history import ArmHistory, grouped

BREAKS = {"restart", "reset"}
"""Weather that breaks all connections at one instant: at its end, or at its begin."""
WITHIN_S = 1.0
STEP_S = 0.5
"""So far apart the seconds begin that are looked at: a herd is whole in one of them."""
WINDOW_S = 0.020
ENOUGH_CONNECTIONS = 10
"""Drawn over 0.1 s, so many put eight of ten into 20 ms in less than one of 100 draws: seven more of nine
beside any one, 0.03 %, for each of ten. A connection that is there again serves several who had waited."""


def _examine(case: Case) -> Finding:
    facts = case.history.facts
    breaks = [w for w in weathers(case.history) if w.name in BREAKS]
    if not breaks:
        return no_data("no weather broke all connections at once")
    times_s = _opened_s(case.history)
    broken_s = [facts.start_s + (each.to_s if each.name == "restart" else each.from_s) for each in breaks]
    begins_s = [begin_s for at_s in broken_s for begin_s in _begins_s(at_s, case.history)]
    opened = [[t for t in times_s if at_s < t <= at_s + WITHIN_S] for at_s in begins_s]
    enough = [sorted(each) for each in opened if len(each) >= ENOUGH_CONNECTIONS]
    if not enough:
        most = max(map(len, opened))
        return Finding(holds=None, observed=None, message=f"only {most} came back to the store", cases=most)
    worst_of = max(enough, key=_share)
    share = _share(worst_of)
    what = (
        f"of {len(worst_of)} connections that were opened in a second after a break, largest share within "
        "20 ms"
    )
    return at_most(case, share, what, cases=len(worst_of))


def _begins_s(at_s: float, history: ArmHistory) -> Iterator[float]:
    """Yield when each second begins that is looked at after a break."""
    start_s = history.facts.start_s
    others = (start_s + window.from_s for window in weathers(history))
    until_s = min((other_s for other_s in others if other_s > at_s), default=inf)
    for step in range(int((RECOVERY_S - WITHIN_S) / STEP_S) + 1):
        begin_s = at_s + step * STEP_S
        if not step or begin_s + WITHIN_S <= until_s:
            yield begin_s


def _opened_s(history: ArmHistory) -> list[float]:
    """Return when connections to the store were opened, but for one of each look at `/readyz`."""
    looks = grouped(history.readiness, lambda look: look.source)
    found = []
    for name, connections in grouped(history.facts.connections, lambda each: each.container).items():
        times_s = sorted(each.opened_s for each in connections if each.target == "store")
        for look in looks.get(name, ()):
            at = bisect_left(times_s, look.time_s)
            if at < len(times_s) and times_s[at] <= look.time_s + look.took_s:
                del times_s[at]
        found += times_s
    return found


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
