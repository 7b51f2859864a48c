"""Loading a session has no longer tail than saving one.

Both go to the same store, by the same thread and event loop, so what a busy machine adds it adds to both: the
saves are the control that runs beside. Slow is what takes 10 ms longer than the median of its kind. The
figure is the share of loads that are slow, less that of saves, and it falls short where it is above the
limit and chance does not explain it: of `x` slow loads and `y` slow saves, among about as many of each, `x`
is binomial with `x + y` draws and 1/2, and a one-sided p above 0.001 is chance. So a sound agent falls short
once in 1,000 runs at the most.

Where more saves than the limit are slow themselves, it is unknown: so busy a machine slows loads and saves at
different times of a request, and not alike, and hides what it does not slow. A ramp ends when something is
full, so of one the first steps are looked at, as many as are needed.
"""

from __future__ import annotations

from math import comb
from statistics import median

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import SESSION_LOADS, SESSION_SAVES
from harness.records.history import ArmHistory, JoinedRequest, grouped
from harness.records.seen import Span

SLOW_S = 0.010
CHANCE = 0.001
ENOUGH_LOADS = 700
"""Where 3 % of the loads are slow and no save is, it takes ten to be no chance (`2^-10` = 0.001). Of 700
loads so many are slow in 99 of 100 runs: Poisson with mean 21 is below ten with a chance of 0.3 %."""


def _examine(case: Case) -> Finding:
    requests = _first_enough(case.history)
    of_these = {request.row.index for request in requests}
    spans = [span for request in requests for span in request.spans]
    loads = [span for span in spans if span.name == contract.SPAN_SESSION_LOAD]
    saves = [span for span in spans if span.name == contract.SPAN_SESSION_SAVE]
    if not loads or not saves:
        return no_data("no span tells how long loading a session takes, or saving one")
    slow, beside = _slow(loads), _slow(saves)
    share = max(0.0, len(slow) / len(loads) - len(beside) / len(saves))
    chance = chance_of(len(slow), len(beside))
    busy = len(beside) > case.limit * len(saves)
    message = (
        f"{len(slow)} of {len(loads)} loads of a session took {SLOW_S * 1e3:.0f} ms more than their median, "
        f"and {len(beside)} of {len(saves)} saves: {share:.1%} more, limit {case.limit:.1%}, by chance alone "
        f"{chance:.2g}"
    )
    return Finding(
        holds=None if busy else share <= case.limit or chance > CHANCE,
        observed=share,
        message=f"{message}. So many saves are slow on a machine that is busy: leave it to the run"
        if busy
        else message,
        traces=worst(span.trace_id for span in slow),
        cases=len(loads),
        expected=len(loads)
        + sum(each.row.index in of_these and not _tells_both(each) for each in case.history.told_whole),
    )


def _first_enough(history: ArmHistory) -> list[JoinedRequest]:
    """Return the requests, of a ramp those of its first steps alone, as many as are needed."""
    found: list[JoinedRequest] = []
    for step in grouped(history.requests, lambda request: request.row.phase).values():
        if history.facts.ramp_p99_ms is None or len(found) < ENOUGH_LOADS:
            found += step
    return found


def _tells_both(request: JoinedRequest) -> bool:
    return {contract.SPAN_SESSION_LOAD, contract.SPAN_SESSION_SAVE} <= {span.name for span in request.spans}


def _slow(spans: list[Span]) -> list[Span]:
    usual_s = median(span.duration_s for span in spans)
    slow = [span for span in spans if span.duration_s > usual_s + SLOW_S]
    return sorted(slow, key=lambda span: -span.duration_s)


def chance_of(more: int, fewer: int) -> float:
    """Return how often so many of a kind or more come by chance, where both kinds are as likely."""
    draws = more + fewer
    return float(sum(comb(draws, hits) for hits in range(more, draws + 1)) / 2**draws)


INVARIANT = Invariant(
    id="session-load-tail",
    title="loading a session has no longer tail than saving one",
    limit=0.01,
    unit="1",
    timing=True,
    remedy="Look at the traces: the store, or what stands before it, does something in these requests alone.",
    case="loads of a session",
    cases_needed=ENOUGH_LOADS,
    more_cases="Send more requests.",
    examine=_examine,
    needs=(SESSION_LOADS, SESSION_SAVES),
)
