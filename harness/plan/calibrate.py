"""From what was seen of a service to its workload, with the fits beside it and what could not be told."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean
from typing import Final

import numpy as np
from scipy.special import chdtrc

from harness.errors import InputError
from harness.plan.fits import Fit, fit, same_share
from harness.plan.samples import Attempts, RequestParts, attempts_of, parts_of, path_s, waits_of
from harness.quantiles import quantile
from harness.records.history import ArmHistory
from harness.records.workload import (
    MOST_TOKENS,
    Arrivals,
    ContainerFacts,
    RateStep,
    Retries,
    Service,
    Sessions,
    Workload,
)
from harness.simulator_config import Quota, RetryAfterMode

MOST_NAME, MOST_CALLS, MOST_RPS, MOST_DISPERSION, MOST_PATH_S = 200, 64, 1e6, 1e4, 60.0
"""What a workload may say at the most."""
LEAST: Final = 30
"""With fewer requests there is nothing to fit."""
ENOUGH: Final = 300
"""With fewer, a p99 is the word of two or three of them."""
WINDOWS: Final = 30
"""In which arrivals are counted, at the least."""
IN_A_WINDOW: Final = 5
BY_CHANCE: Final = 0.01
GROWN: Final = 0.8
DAY_S: Final = 86_400.0
STEP_S: Final = 1_800.0
LEAST_DAY_S: Final = 0.8 * DAY_S
SEEN_SHARE: Final = 0.5
"""Of a half hour, at the least, to tell its rate."""
DRIFT: Final = 3.0
"""Waits that grow by so many services from the first quarter to the last are no stable queue's..."""
MOST_IN_USE: Final = 0.97
"""...and with so large a share of the slots in use, nobody knows what more would have done."""
ENOUGH_REFUSED: Final = 20
ENOUGH_RETRIES: Final = 20
TURNED: Final = 0.02
"""Share of requests that failed above which the service was not itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """A workload, and what it rests on.

    Attributes:
        workload: it.
        fits: of each part that was seen.
    """

    workload: Workload
    fits: tuple[Fit, ...]

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the workload may not be what the service is like."""
        return self.workload.doubts


def calibrate(
    history: ArmHistory, *, name: str, source: str, lossy: Sequence[str] = (), sampled: float | None = None
) -> Calibrated:
    """Find out what a service was asked, and what its requests took.

    Args:
        history: what was seen of it.
        name: of the service.
        source: where that came from, in words.
        lossy: what its store does not have, a sentence each.
        sampled: share of the traces that was kept, where it is known.

    Raises:
        InputError: there are too few requests to say anything.
    """
    parts = parts_of(history.requests)
    if len(parts) < LEAST:
        raise InputError(
            f"{source}: {len(parts)} of {len(history.requests)} requests were answered and have a "
            f"container's span; "
            f"it takes {LEAST}. Look back longer, or send every span (docs/plan.md)."
        )
    unknown, doubts = list[str](), list[str](lossy)
    fits = {each.part: each for each in _fits(parts)}
    attempts = attempts_of(history.journal)
    in_part = sampled is not None and sampled < 1
    arrivals = _arrivals(
        [each.row.due_s for each in history.requests], unknown, () if in_part else _begins(history)
    )
    if sampled is not None and in_part:
        arrivals = arrivals.at(arrivals.rate_rps / sampled)
        doubts.append(
            f"only {sampled:.3g} of the traces are kept: the rate is what follows from that, and how "
            f"bursty it was is not known"
        )
    if len(parts) < ENOUGH:
        doubts.append(f"{len(parts)} requests are few: a p99 takes {ENOUGH}")
    if drift := _overloaded(history):
        doubts.append(drift)
    path = path_s(history)
    service = _service(parts, fits, unknown)
    workload = Workload(
        name=name[:MOST_NAME],
        source=source,
        requests=len(parts),
        fault_ratio=min(0.99, attempts.faults / attempts.made) if attempts.made else 0.0,
        arrivals=arrivals,
        sessions=_sessions(history, unknown, in_part=in_part),
        service=service,
        retries=_retries(attempts, unknown),
        container=ContainerFacts(path_s=min(path or 0.0, MOST_PATH_S), cpu_s=_cpu_s(history)),
        quota=_quota(history, attempts, unknown, in_part=in_part),
        doubts=tuple(doubts),
        unknown=(*unknown, "the cold start of a container: 2 s are taken"),
    )
    return Calibrated(workload=workload, fits=tuple(fits.values()))


# --- what requests take ----------------------------------------------------------------
def _fits(parts: Sequence[RequestParts]) -> list[Fit]:
    calls = [call for each in parts for call in each.calls]
    first = [call.first_token_s for call in calls if call.first_token_s is not None]
    split = len(first) == len(calls)
    return [
        fit("own", [each.own_s for each in parts]),
        fit("session", [each.session_s for each in parts]),
        fit("first_token", first if split else ()),
        fit("rest", [call.took_s - ((call.first_token_s or 0.0) if split else 0.0) for call in calls]),
        fit("tool", [tool_s for each in parts for tool_s in each.tools_s]),
        fit("tail", [each.tail_s for each in parts]),
        fit("after_answer", [each.after_s for each in parts] if any(each.after_s for each in parts) else ()),
    ]


def _service(parts: Sequence[RequestParts], fits: dict[str, Fit], unknown: list[str]) -> Service:
    calls = [call for each in parts for call in each.calls]
    made = [min(len(each.calls), MOST_CALLS) for each in parts]
    if any(len(each.calls) > MOST_CALLS for each in parts):
        unknown.append(f"requests of more than {MOST_CALLS} model calls: they are counted as of {MOST_CALLS}")
    if not calls:
        unknown.append("the model's share: no span tells of a model call, all is the container's own work")
    elif fits["first_token"].family == "none":
        unknown.append("the first token: not every call tells of it, so a call is one part")
    if 0 in made and calls:
        unknown.append(
            f"{made.count(0)} of {len(parts)} requests made no model call; they are planned with one "
            "as the others have, so the plan has more containers than they need"
        )
    if at_once := sum(each.at_once for each in parts):
        unknown.append(
            f"model calls at the same time, as {at_once} of {len(parts)} requests made them: planned "
            "one after the other, each as long as it adds"
        )
    most = max(1, *made)
    shares = tuple(sum(max(1, each) == number for each in made) / len(made) for number in range(1, most + 1))
    tokens_out = [call.tokens_out for call in calls if call.tokens_out is not None]
    tokens = [
        call.tokens_in + call.tokens_out for call in calls if call.tokens_in is not None and call.tokens_out
    ]
    if calls and not tokens_out:
        unknown.append("the tokens of an answer: no span tells")
    request, session = _common(parts)
    return Service(
        own=fits["own"].duration,
        session=fits["session"].duration,
        calls=tuple(round(share, 6) for share in shares),
        first_token=fits["first_token"].duration,
        rest=fits["rest"].duration,
        tokens_out=min(mean(tokens_out), MOST_TOKENS) if tokens_out and mean(tokens_out) else None,
        tokens=min(max(1, round(mean(tokens))), MOST_TOKENS) if tokens else None,
        tool=fits["tool"].duration,
        tail=fits["tail"].duration,
        after_answer=fits["after_answer"].duration,
        same_request=request,
        same_session=session,
    )


def _common(parts: Sequence[RequestParts]) -> tuple[float, float]:
    """Return what the answers of one request, and of one session, have in common of their length."""
    by_request, by_session = list[list[float]](), defaultdict[str, list[float]](list)
    for each in parts:
        logs = [
            math.log(rest_s)
            for call in each.calls
            if (rest_s := call.took_s - (call.first_token_s or 0.0)) > 0
        ]
        by_request.append(logs)
        if each.session and logs:
            by_session[each.session].append(mean(logs))
    session = same_share(list(by_session.values())) or 0.0
    request = same_share(by_request) or 0.0
    return round(max(0.0, request - session), 3), round(min(session, 1.0), 3)


# --- when they come --------------------------------------------------------------------
def _begins(history: ArmHistory) -> list[float]:
    """Return when sessions began: the bursts are theirs, and what their later turns add is known of `turns`.

    Of those that were under way when the look began the first turn is none that is known; they come again
    within a think time.
    """
    turns, begins = defaultdict[str, list[float]](list), list[float]()
    for each in history.requests:
        if each.row.session_id:
            turns[each.row.session_id].append(each.row.due_s)
        else:
            begins.append(each.row.due_s)
    gaps = list[float]()
    for came in turns.values():
        came.sort()
        begins.append(came[0])
        for earlier, later in pairwise(came):
            if later - earlier > DAY_S:  # who comes again after a day begins anew
                begins.append(later)
            else:
                gaps.append(later - earlier)
    if not gaps:
        return begins
    first_s, last_s = min(begins), max(each.row.due_s for each in history.requests)
    known_s = first_s + min(quantile(gaps, 0.99) or 0.0, (last_s - first_s) / 2)
    return [began_s for began_s in begins if began_s >= known_s]


def _arrivals(due_s: Sequence[float], unknown: list[str], begins_s: Sequence[float] = ()) -> Arrivals:
    """Return how requests come, and how bursty their sessions do; without those each is its own."""
    came = np.sort(np.array(due_s))
    span_s = float(came[-1] - came[0])
    if span_s <= 0:
        raise InputError("all requests came at the same instant: there is no rate. Look back longer.")
    rate_rps = min((len(came) - 1) / span_s, MOST_RPS)
    if span_s < LEAST_DAY_S:
        unknown.append(f"the rate over the day: {_long(span_s)} were seen")
        steps: tuple[RateStep, ...] = ()
    else:
        steps = _steps(came, unknown)
        rate_rps = mean(step.rate_rps for step in steps)
    began = np.sort(np.array(begins_s)) if len(begins_s) > 1 else came
    span_s = float(began[-1] - began[0])
    if span_s <= 0:
        began, span_s = came, float(came[-1] - came[0])
    share = (len(began) - 1) / span_s / rate_rps
    least_s = IN_A_WINDOW / (rate_rps * share)
    windows_s = [
        least_s * 2**number for number in range(40) if least_s * 2**number * WINDOWS <= min(span_s, DAY_S)
    ]
    if not windows_s:
        unknown.append("how bursty arrivals are: too few were seen; a Poisson process is taken")
        return Arrivals(rate_rps=rate_rps, steps=steps)
    of_begins = [
        RateStep(from_s=step.from_s, rate_rps=min(step.rate_rps * share, MOST_RPS)) for step in steps
    ]
    found = {each: _dispersion(began, each, of_begins, rate_rps * share) for each in windows_s}
    bursty = {each: index for each, (index, chance) in found.items() if chance < BY_CHANCE / len(found)}
    if not bursty:
        return Arrivals(rate_rps=rate_rps, steps=steps)
    # it grows with the window until that is as long as a burst
    window_s = min(each for each, index in bursty.items() if index >= GROWN * max(bursty.values()))
    dispersion = min(max(1.0, bursty[window_s]), MOST_DISPERSION)
    return Arrivals(rate_rps=rate_rps, dispersion=dispersion, window_s=window_s, steps=steps)


def _dispersion(
    came: np.ndarray, window_s: float, steps: Sequence[RateStep], rate_rps: float
) -> tuple[float, float]:
    """Return the index of dispersion of counts in windows, and the chance of as much in a Poisson process."""
    edges = came[0] + np.arange(int((came[-1] - came[0]) / window_s) + 1) * window_s
    counts = np.histogram(came, edges)[0].astype(float)
    expected = _expected(edges, steps, rate_rps)
    squared, free = float(((counts - expected) ** 2 / expected).sum()), len(counts) - 1
    return squared / free, float(chdtrc(free, squared))


def _steps(came: np.ndarray, unknown: list[str]) -> tuple[RateStep, ...]:
    """Return the rate over the day, in UTC; of a half hour of which too little was seen, the mean of all."""
    begins_s = np.arange(0, DAY_S, STEP_S)
    counts = np.histogram(came % DAY_S, [*begins_s, DAY_S])[0]
    seen_s = np.zeros(len(begins_s))
    for day in range(int(came[0] // DAY_S), int(came[-1] // DAY_S) + 1):
        from_s = begins_s + day * DAY_S
        seen_s += np.clip(np.minimum(from_s + STEP_S, came[-1]) - np.maximum(from_s, came[0]), 0, None)
    usual_rps = float(counts.sum() / seen_s.sum())
    told = seen_s >= SEEN_SHARE * STEP_S
    if not told.all():
        unknown.append(
            f"the rate in {int((~told).sum())} of the {len(told)} half hours of a day, which were not seen: "
            f"the mean of the others is taken"
        )
    rates = np.where(told, counts / np.maximum(seen_s, SEEN_SHARE * STEP_S), usual_rps)
    return tuple(
        RateStep(from_s=float(from_s), rate_rps=float(rate))
        for from_s, rate in zip(begins_s, rates, strict=True)
    )


def _expected(edges: np.ndarray, steps: Sequence[RateStep], rate_rps: float) -> np.ndarray:
    widths = np.diff(edges)
    if not steps:
        return np.asarray(rate_rps * widths)
    rates = np.array([step.rate_rps for step in steps])
    middle = ((edges[:-1] + edges[1:]) / 2 % DAY_S // STEP_S).astype(int)
    return np.asarray(np.maximum(rates[middle] * widths, 1e-9))


def _sessions(history: ArmHistory, unknown: list[str], *, in_part: bool) -> Sessions:
    if in_part:
        unknown.append("sessions: of sampled ones turns are missing, each request is taken for its own")
        return Sessions()
    turns = defaultdict[str, list[float]](list)
    for each in history.requests:
        if each.row.session_id:
            turns[each.row.session_id].append(each.row.due_s)
    if not turns:
        unknown.append("sessions: no span names one, each request is taken for a session of its own")
        return Sessions()
    gaps = [later - earlier for came in turns.values() for earlier, later in pairwise(sorted(came))]
    later_on = sum(gap_s > DAY_S for gap_s in gaps)  # who comes again after a day begins anew
    gaps = [gap_s for gap_s in gaps if gap_s <= DAY_S]
    count = sum(map(len, turns.values())) / (len(turns) + later_on)
    if not gaps:
        return Sessions()
    return Sessions(turns=min(1000.0, count), think=fit("think", gaps).duration)


# --- what the model allows -------------------------------------------------------------
def _retries(attempts: Attempts, unknown: list[str]) -> Retries:
    told = Retries()
    if attempts.most <= 1:
        unknown.append("retries: no call was tried again; 3 attempts are taken")
        return told
    if not attempts.exhausted:
        unknown.append(
            f"how often a call is tried: {attempts.most} times were seen at the most, and it then went well"
        )
    base_s = told.base_s
    if len(attempts.jitters_s) >= ENOUGH_RETRIES:
        count = len(attempts.jitters_s)
        base_s = max(attempts.jitters_s) * (count + 1) / count  # of evenly drawn waits, the least biased end
    else:
        unknown.append(
            f"the wait before a retry: {len(attempts.jitters_s)} were seen; up to {base_s:g} s is taken"
        )
    return Retries(max_attempts=min(20, attempts.most), base_s=min(60.0, base_s))


def _quota(history: ArmHistory, attempts: Attempts, unknown: list[str], *, in_part: bool) -> Quota | None:
    if in_part or min(len(attempts.admitted_s), attempts.throttled) < ENOUGH_REFUSED <= attempts.throttled:
        few = "of its attempts a part is there" if in_part else f"{len(attempts.admitted_s)} were let through"
        unknown.append(f"the model API's quota: {few}; none is taken")
        return None
    if attempts.throttled < ENOUGH_REFUSED:
        most = _most_in_a_minute(attempts.admitted_s)
        unknown.append(
            f"the model API's quota: {attempts.throttled} attempts were refused; it is above {most} a minute"
        )
        return None
    mode = RetryAfterMode.ABSENT
    if len(attempts.told) >= attempts.throttled / 2:
        whole = all(abs(each - round(each)) < 1e-6 for each in attempts.told)  # noqa: PLR2004 - rounding
        mode = RetryAfterMode.ROUNDED if whole else RetryAfterMode.EXACT
    if history.facts.quota_rps is not None:
        burst = history.facts.quota_burst or 1
        return Quota(rpm=60 * history.facts.quota_rps, burst=burst, retry_after=mode)
    return seen_quota(attempts.admitted_s, attempts.refused_s, mode)


def seen_quota(admitted_s: Sequence[float], refused_s: Sequence[float], mode: RetryAfterMode) -> Quota:
    """Return the token bucket that lets through what was admitted, and is empty when something was refused.

    Between two refusals the bucket is empty at both ends, so what was admitted there is its refill.
    The size is the most that was ever admitted beyond the refill.
    """
    came, ends = np.array(admitted_s), np.array(refused_s)
    first, last = float(ends[0]), float(ends[-1])
    between = int(np.searchsorted(came, last) - np.searchsorted(came, first))
    rate_rps = (
        between / (last - first) if last > first and between else len(came) / max(1e-9, float(np.ptp(came)))
    )
    excess = np.arange(len(came)) - rate_rps * (came - came[0])
    burst = float((excess - np.minimum.accumulate(excess)).max()) + 1
    return Quota(rpm=60 * rate_rps, burst=max(1.0, round(burst)), retry_after=mode)


def _most_in_a_minute(admitted_s: Sequence[float]) -> int:
    came = np.array(admitted_s)
    return int((np.searchsorted(came, came + 60) - np.arange(len(came))).max()) if len(came) else 0


# --- whether it was itself -------------------------------------------------------------
def _overloaded(history: ArmHistory) -> str | None:
    """Say that it had more to do than it could while it was looked at, None when it hadn't."""
    failed = sum(not each.row.ok and not each.row.left for each in history.requests) / len(history.requests)
    waits = waits_of(history)
    quarter = len(waits) // 4
    service_s = mean(history_s for each in history.requests if (history_s := each.service_s) is not None)
    if quarter >= 8:  # noqa: PLR2004 - of so few, the mean says something
        ranked = sorted(waits)
        grown_s = mean(wait for _, wait in ranked[-quarter:]) - mean(wait for _, wait in ranked[:quarter])
        middle_s = mean(wait for _, wait in ranked[quarter:-quarter]) - mean(
            wait for _, wait in ranked[:quarter]
        )
        if grown_s > DRIFT * service_s and middle_s > 0.25 * grown_s:
            return (
                f"it was overloaded while it was looked at: waits grew by {grown_s:.3g} s from first to last "
                "quarter; what its requests take may be more than they take else"
            )
    facts = history.facts
    held_s = sum(each.held_s or 0.0 for each in history.requests)
    slots_s = len(facts.containers) * facts.concurrency_limit * max(1e-9, facts.end_s - facts.start_s)
    if facts.containers and "concurrency_limit" not in facts.learnt and held_s > MOST_IN_USE * slots_s:
        return (
            f"its slots were in use for {held_s / slots_s:.0%} of the time: more may have been asked "
            f"than it could do"
        )
    if failed > TURNED:
        return f"{failed:.1%} of its requests failed: what those would have taken is not known"
    return None


def _cpu_s(history: ArmHistory) -> float | None:
    names = {each.name for each in history.facts.containers}
    spent = [usage.cpu_s for usage in history.facts.usage if usage.name in names]
    return sum(spent) / len(history.requests) if spent and history.requests else None


def _long(span_s: float) -> str:
    return f"{span_s:.0f} s" if span_s < 600 else f"{span_s / 3600:.1f} h"  # noqa: PLR2004 - ten minutes
