"""Requests drawn from a workload: when they come, and what each will take. All of it from one seed.

The parts of a request hang together by normal scores: those of a call are a weighted sum of one for its
session, one for its request and one of its own, and each is turned into a duration by the part's quantiles,
whatever family these are of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtr

from harness.plan.records import Floats, Integers, Work
from harness.records.workload import Arrivals, Duration, Sessions, Workload

THINK_POINTS: Final = 10_000
"""Quantiles of a think time, of which what is left of one that is under way is drawn."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Instants at which requests are due, in order, and the session of each."""

    due_s: Floats
    session: Integers


def work_of(workload: Workload, *, duration_s: float, seed: int, due: Drawn | None = None) -> Work:
    """Draw the requests of `duration_s` seconds.

    Args:
        workload: what they are like.
        duration_s: from the first instant to the last.
        seed: the same gives the same.
        due: when they come, in place of what the workload says.
    """
    arrivals, service, scores = (np.random.default_rng([seed, each]) for each in range(3))
    came = due or arrivals_of(workload.arrivals, workload.sessions, duration_s, arrivals)
    count = len(came.due_s)
    parts = workload.service
    shares = np.array(parts.calls) / sum(parts.calls)
    calls = 1 + service.choice(len(shares), size=count, p=shares)
    first = np.concatenate(([0], np.cumsum(calls)))
    total = int(first[-1])
    of_request = np.repeat(np.arange(count), calls)
    scored = _scores(parts.same_request, parts.same_session, came.session, of_request, scores)
    # the first token and the rest of an answer are drawn apart, but both are long in a long answer
    own = scores.standard_normal(total)
    call_s = _drawn(parts.first_token, own) + _drawn(parts.rest, scored)
    before_s = _drawn(parts.tool, service.standard_normal(total))
    at_first = first[:-1]
    before_s[at_first] = _drawn(parts.own, service.standard_normal(count)) + _drawn(
        parts.session, service.standard_normal(count)
    )
    return Work(
        due_s=came.due_s,
        session=came.session,
        first_call=first,
        before_s=before_s,
        call_s=call_s,
        tokens=np.full(total, parts.tokens or 0, np.int64),
        tail_s=_drawn(parts.tail, service.standard_normal(count)),
        after_s=_drawn(parts.after_answer, service.standard_normal(count)),
    )


def _scores(
    same_request: float,
    same_session: float,
    session: Integers,
    of_request: Integers,
    draw: np.random.Generator,
) -> Floats:
    alone = draw.standard_normal(len(of_request)) * np.sqrt(max(0.0, 1 - same_request - same_session))
    request = draw.standard_normal(len(session))[of_request] * np.sqrt(same_request)
    if not same_session:
        return np.asarray(alone + request)
    names, of_session = np.unique(session, return_inverse=True)
    common = draw.standard_normal(len(names))[of_session][of_request] * np.sqrt(same_session)
    return np.asarray(alone + request + common)


def _drawn(duration: Duration, scores: Floats) -> Floats:
    """Turn normal scores into durations."""
    if duration.quantiles_s:
        steps = np.linspace(0, 1, len(duration.quantiles_s))
        return np.asarray(np.interp(ndtr(scores), steps, duration.quantiles_s))
    if duration.p99_s is None:
        return np.full(len(scores), duration.median_s)
    return np.asarray(duration.median_s * np.exp(duration.sigma * scores))


def arrivals_of(
    arrivals: Arrivals, sessions: Sessions, duration_s: float, draw: np.random.Generator
) -> Drawn:
    """Draw when requests come in `duration_s` seconds, and for which sessions."""
    if sessions.turns <= 1:
        due_s = _instants(arrivals, arrivals.rate_rps, 0.0, duration_s, draw)
        return Drawn(due_s, np.arange(len(due_s)))
    begins_s = _instants(arrivals, arrivals.rate_rps / sessions.turns, 0.0, duration_s, draw)
    came_s = np.concatenate((_under_way(sessions, arrivals.rate_rps, duration_s, draw), begins_s))
    numbers = np.arange(len(came_s))
    all_s, session = [came_s], [numbers]
    # turn by turn, for those that go on within the time: what comes after it is never drawn
    while len(came_s):
        on = draw.random(len(came_s)) >= 1 / sessions.turns
        came_s, numbers = came_s[on], numbers[on]
        came_s = came_s + _drawn(sessions.think, draw.standard_normal(len(came_s)))
        inside = came_s < duration_s
        came_s, numbers = came_s[inside], numbers[inside]
        all_s.append(came_s)
        session.append(numbers)
    due_s = np.concatenate(all_s)
    order = np.argsort(due_s, kind="stable")
    return Drawn(due_s[order], np.concatenate(session)[order])


def _under_way(sessions: Sessions, rate_rps: float, duration_s: float, draw: np.random.Generator) -> Floats:
    """Draw when sessions that began before the first instant come again, those within the time alone.

    The number of turns is geometric, so a session that is under way has as many before it as one that begins.
    So many are between two turns as Little's law says; each is the likelier so the longer its think time is,
    and anywhere in it.
    """
    think_s = np.array([sessions.think.at((number + 0.5) / THINK_POINTS) for number in range(THINK_POINTS)])
    told_s = np.minimum(think_s, duration_s)
    if not told_s.any():
        return np.zeros(0)
    come_again = rate_rps * (1 - 1 / sessions.turns) * float(told_s.mean())
    chosen = draw.choice(told_s, size=draw.poisson(come_again), p=told_s / told_s.sum())
    return np.asarray(chosen * draw.random(len(chosen)))


def _instants(
    arrivals: Arrivals, rate_rps: float, from_s: float, to_s: float, draw: np.random.Generator
) -> Floats:
    """Draw the instants of a process: Poisson, its rate that of the day times that of a burst."""
    edges, rates = _rates(arrivals, rate_rps, from_s, to_s)
    if arrivals.dispersion > 1:
        window_s = arrivals.window_s
        cuts = np.arange(from_s, to_s, window_s)
        edges = np.union1d(edges, cuts)
        base = rates[np.searchsorted(_rates(arrivals, rate_rps, from_s, to_s)[0], edges[:-1], "right") - 1]
        # gamma rates with this variance give counts with the dispersion that was asked for
        variance = (arrivals.dispersion - 1) / (rate_rps * window_s)
        burst = draw.gamma(1 / variance, variance, len(cuts))
        rates = base * burst[np.minimum(((edges[:-1] - from_s) // window_s).astype(int), len(cuts) - 1)]
    counts = draw.poisson(rates * np.diff(edges))
    starts = np.repeat(edges[:-1], counts)
    return np.sort(starts + draw.random(len(starts)) * np.repeat(np.diff(edges), counts))


def _rates(arrivals: Arrivals, rate_rps: float, from_s: float, to_s: float) -> tuple[Floats, Floats]:
    """Return when the rate of the day changes, both ends included, and the rate after each."""
    if not arrivals.steps:
        return np.array([from_s, to_s]), np.array([rate_rps])
    share = rate_rps / arrivals.mean_of_steps_rps
    begins = np.array([step.from_s for step in arrivals.steps])
    rates = np.array([step.rate_rps for step in arrivals.steps]) * share
    first, last = int(from_s // arrivals.period_s), int(to_s // arrivals.period_s)
    changes = np.concatenate([begins + number * arrivals.period_s for number in range(first, last + 1)])
    edges = np.concatenate(([from_s], changes[(changes > from_s) & (changes < to_s)], [to_s]))
    within = np.searchsorted(begins, edges[:-1] % arrivals.period_s, "right") - 1
    return edges, rates[within]
