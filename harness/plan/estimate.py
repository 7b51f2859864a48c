"""What a fleet does with a workload: replications with seeds of their own, and how sure their mean is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import ndtri, stdtrit

from harness.errors import InputError
from harness.plan.records import End, Fleet, ModelApi, Outcome, RetryRule, Routing, Work
from harness.plan.sampling import work_of
from harness.plan.settling import LEAST_TIMES, Queue, queue_of
from harness.plan.simulate import one_queue, simulate
from harness.quantiles import nearest_rank
from harness.records.workload import Workload

CONFIDENCE: Final = 0.95
WARM_SHARE: Final = 0.1
"""Of a simulation's requests, those at its begin that do not count: the fleet was empty."""
REQUESTS: Final = 12_000
"""Of a replication, about."""
MOST_DRAWN: Final = 10_000_000
"""Requests of a replication, or bursts: a gigabyte of them."""
MOST_PERIODS: Final = 100
LEAST_HELD: Final = 100
"""A replication lasts at least so many times as long as a slot is held: queues need that to fill."""
TIMES: Final = 50
"""Or so many relaxation times of the queue that a fleet is..."""
MOST_FOR_QUEUES: Final = {True: 1_000_000, False: 200_000}
"""...unless that were more requests: of one queue, which takes no events, and of all others."""
BRIEF: Final = 8
BURSTS: Final = 50
"""And as so many bursts, for the slowest requests are those of the worst of them..."""
MOST_FOR_BURSTS: Final = 1_000_000
"""...unless that were more requests."""
WITHOUT_QUEUE: Final = frozenset({Routing.SESSION, Routing.READINESS})
"""Routings with no queue that could grow for as long as requests come."""
SLOWEST: Final = 0.25
"""Of a replication's answers, so many are kept for the p99 of all together; at the least `LEAST_SLOWEST`."""
LEAST_SLOWEST: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean over replications, and between what it lies with a confidence of `CONFIDENCE`."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one simulation shows, without its begin.

    Attributes:
        p50_s, p95_s, p99_s: of the latency of those that were answered; infinity when none was.
        wait_p99_s: of the wait for a container.
        error_ratio: share that was not answered.
        throughput_rps: answers a second.
        attempts: of a model call.
        refused_ratio: share of the attempts that the quota refused.
        utilisation: share of the slots in use.
        container_s: container-seconds a request.
    """

    p50_s: float
    p95_s: float
    p99_s: float
    wait_p99_s: float
    error_ratio: float
    throughput_rps: float
    attempts: float
    refused_ratio: float
    utilisation: float
    container_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What a fleet does at a rate: the mean of the replications' figures.

    Attributes:
        rate_rps: that arrives.
        p99, errors: as sure as they are; the former of all replications together.
        figures: the means of all, but for the p99.
        each: of each replication.
        in_use: slots in use on average, if there were enough of them.
        slots: that there are; None where each session has its own, or nobody waits for one.
        too_short: whether its queue takes so long to settle that the replications are no word of it.
    """

    rate_rps: float
    p99: Interval
    errors: Interval
    figures: Figures
    each: tuple[Figures, ...]
    in_use: Interval
    slots: int | None
    too_short: bool = False

    @property
    def lasts(self) -> bool:
        """Whether there are slots enough: with fewer the queue grows for as long as requests come."""
        return self.slots is None or self.in_use.high < self.slots

    @property
    def never_lasts(self) -> bool:
        """Whether there are too few, with the same confidence."""
        return self.slots is not None and self.in_use.low >= self.slots


class Draws:
    """The requests of each seed and rate, drawn once: fleets are compared on the same ones.

    Args:
        workload: what they are like.
        requests: of a replication, about.
        settle_s: before what counts begins: what a fleet takes to have the containers that it tends to.
    """

    def __init__(self, workload: Workload, requests: int = REQUESTS, settle_s: float = 0.0) -> None:
        self.workload = workload
        self.settle_s = settle_s
        self._requests = requests
        self._kept: dict[tuple[float, int, int], Work] = {}

    def of(self, workload: Workload) -> Draws:
        """Return the same requests of a workload that differs in its quota or its faults alone."""
        other = Draws(workload, self._requests, self.settle_s)
        other._kept = self._kept
        return other

    def duration_s(self, rate_rps: float) -> float:
        """Return how long a replication lasts: whole days, where the rate changes over the day.

        Raises:
            InputError: it would be of more requests than can be simulated.
        """
        told = self.workload.arrivals
        duration_s = max(self._requests / rate_rps, LEAST_HELD * self.workload.service.held_s)
        why = f"a hundred times what a request takes, or what it takes to see {self._requests:,} of them,"
        if told.dispersion > 1:
            duration_s = max(duration_s, min(BURSTS * told.window_s, MOST_FOR_BURSTS / rate_rps))
        duration_s = max(duration_s, self.settle_s) + self.settle_s
        if told.steps:
            why = "as the rate changes over so long,"
            duration_s = told.period_s * math.ceil(
                min(duration_s, MOST_PERIODS * told.period_s) / told.period_s
            )
        if rate_rps * duration_s > MOST_DRAWN:
            raise InputError(
                f"{rate_rps:g} requests/s for {duration_s:.4g} s, {why} are more than can be simulated "
                f"({MOST_DRAWN:,}). Ask for a lower rate, or write a workload without `steps`."
            )
        if told.dispersion > 1 and duration_s / told.window_s > MOST_DRAWN:
            raise InputError(
                f"bursts of {told.window_s:g} s for {duration_s:.4g} s, {why} are more than can be simulated "
                f"({MOST_DRAWN:,}). Write a longer `window_s`, or no `dispersion`."
            )
        return duration_s

    def times(self, fleet: Fleet, rate_rps: float, *, brief: bool = False) -> int:
        """Return how many times as long a fleet is looked at, so that its queue is seen to settle.

        A power of two: fleets that differ little are compared on the same requests. `brief` is for a glance.
        """
        queue = self.queue(fleet, rate_rps)
        if queue is None or self.workload.arrivals.steps or math.isinf(queue.relaxation_s):
            return 1
        lasts_s = self.duration_s(rate_rps)
        share = self._requests / REQUESTS / (BRIEF if brief else 1)
        wanted = max(LEAST_TIMES, TIMES * share) * queue.relaxation_s / lasts_s
        most = max(1.0, share * MOST_FOR_QUEUES[one_queue(fleet, self.workload)] / (rate_rps * lasts_s))
        return 1 << min(math.ceil(math.log2(max(1.0, wanted))), math.floor(math.log2(most)))

    def queue(self, fleet: Fleet, rate_rps: float) -> Queue | None:
        """Return what the requests of a fleet wait in, as far as that is known without a simulation."""
        service = self.workload.service
        held_s = service.held_s + fleet.path_s
        drawn_s = self.work(rate_rps, 1).service_s
        spread = float(drawn_s.var()) / held_s**2 if len(drawn_s) else 0.0
        return queue_of(fleet, rate_rps * held_s, held_s, spread)

    def work(self, rate_rps: float, seed: int, times: int = 1) -> Work:
        """Return the requests of a replication, `times` as long as others last."""
        key = rate_rps, seed, times
        if key not in self._kept:
            if len(self._kept) > MOST_KEPT or sum(map(len, self._kept.values())) > MOST_KEPT_REQUESTS:
                self._kept.clear()
            at = self.workload.model_copy(update={"arrivals": self.workload.arrivals.at(rate_rps)})
            self._kept[key] = work_of(at, duration_s=times * self.duration_s(rate_rps), seed=seed)
        return self._kept[key]


MOST_KEPT, MOST_KEPT_REQUESTS = 40, 5_000_000


def model_of(workload: Workload) -> ModelApi:
    """Return what limits the answers of a workload's model."""
    return ModelApi(quota=workload.quota, fault_ratio=workload.fault_ratio)


def spends(workload: Workload, rate_rps: float) -> bool:
    """Return whether a rate asks more of the quota than it refills with: no burst lasts then."""
    quota, service = workload.quota, workload.service
    if quota is None:
        return False
    calls = 60 * rate_rps * service.mean_calls
    return calls > quota.rpm or (quota.tpm is not None and calls * (service.tokens or 1) > quota.tpm)


def settles_in_s(workload: Workload, fleet: Fleet) -> float:
    """Return after how long a fleet has as many containers as it tends to."""
    if fleet.routing is Routing.SESSION:  # by then each is there whose session was there that long ago
        return fleet.idle_s + fleet.cold_start_s + workload.service.held_s
    if fleet.scaling is not None:  # it begins with the most
        return fleet.scaling.stable_s + 2 * fleet.scaling.sync_s + fleet.cold_start_s
    return 0.0


def retry_of(workload: Workload) -> RetryRule:
    """Return what a workload's agents do after a refusal."""
    told = workload.retries
    return RetryRule(max_attempts=told.max_attempts, base_s=told.base_s, deadline_s=told.deadline_s)


def estimate(
    draws: Draws,
    fleet: Fleet,
    rate_rps: float,
    seeds: Sequence[int],
    *,
    errors: float = 0.0,
    brief: bool = False,
) -> Point:
    """Simulate a fleet at a rate, once with each seed.

    Args:
        draws: the requests.
        fleet: that works on them.
        rate_rps: that arrives.
        seeds: of the replications.
        errors: by so many standard errors of what was calibrated the requests take longer than that says.
        brief: for a look on the way, of which nothing is promised.
    """
    retry, settle_s = retry_of(draws.workload), draws.settle_s
    model = replace(model_of(draws.workload), spent=spends(draws.workload, rate_rps))
    each, slowest, held_s = list[Figures](), list[_Slowest](), list[float]()
    times = draws.times(fleet, rate_rps, brief=brief)
    for seed in seeds:
        work = draws.work(rate_rps, seed, times)
        if errors:
            work = longer(work, 1 + errors * standard_error(work, draws.workload.requests))
        outcome = simulate(work, fleet, model, retry, seed, settle_s=settle_s)
        each.append(figures(work, outcome, fleet, settle_s=settle_s))
        slowest.append(_slowest(work, outcome, settle_s))
        held_s.append(outcome.held_s)
    in_use = interval([rate_rps * one for one in held_s])
    queue = draws.queue(fleet, rate_rps)
    least, too_short = 0.0, False
    if queue is not None:  # what retries hold of the slots is in use, too
        queue = replace(queue, load=in_use.mean / queue.count, service_s=in_use.mean / rate_rps)
        lasts_s = times * draws.duration_s(rate_rps)
        wait_s = max(queue.wait_s, float(np.mean([one.wait_p99_s for one in each])))
        least = wait_s * queue.error((1 - WARM_SHARE) * lasts_s * len(seeds))
        too_short = queue.load < queue.slots and lasts_s < LEAST_TIMES * queue.relaxation_s
    return point(
        rate_rps,
        each,
        p99=_p99(slowest, least),
        in_use=in_use,
        slots=None if fleet.routing in WITHOUT_QUEUE else fleet.containers * fleet.limit,
        too_short=too_short,
    )


def standard_error(work: Work, requests: int) -> float:
    """Return by which share the mean of what requests take may be off, as it was calibrated on so many.

    Args:
        work: drawn from the calibration.
        requests: that it rests on; 0 for one that was written by hand, which is taken at its word.
    """
    if not requests or not len(work):
        return 0.0
    return float(work.service_s.std() / work.service_s.mean()) / math.sqrt(requests)


def longer(work: Work, factor: float) -> Work:
    """Return the same requests, all of whose parts take so many times as long."""
    if factor == 1:
        return work
    return replace(
        work,
        before_s=work.before_s * factor,
        call_s=work.call_s * factor,
        tail_s=work.tail_s * factor,
        after_s=work.after_s * factor,
    )


def point(
    rate_rps: float,
    each: Sequence[Figures],
    *,
    p99: Interval,
    in_use: Interval,
    slots: int | None,
    too_short: bool,
) -> Point:
    """Put replications together."""
    names = Figures.__dataclass_fields__
    mean = Figures(**{name: float(np.mean([getattr(one, name) for one in each])) for name in names})
    return Point(
        rate_rps=rate_rps,
        p99=p99,
        errors=interval([one.error_ratio for one in each], least=0.0),
        figures=replace(mean, p99_s=p99.mean),
        each=tuple(each),
        in_use=in_use,
        slots=slots,
        too_short=too_short,
    )


@dataclass(frozen=True, slots=True)
class _Slowest:
    """The slowest answers of a replication, in order, and of how many they are."""

    latency_s: np.ndarray
    count: int


def _slowest(work: Work, outcome: Outcome, settle_s: float) -> _Slowest:
    skip = _skipped(work, WARM_SHARE, settle_s)
    good = np.sort(outcome.latency_s[skip:][outcome.ends[skip:] == End.ANSWERED])
    return _Slowest(good[-max(LEAST_SLOWEST, int(SLOWEST * len(good))) :].copy(), len(good))


def _p99(each: Sequence[_Slowest], least_s: float = 0.0) -> Interval:
    """Return the p99 of all replications together, and between what it lies.

    `least_s` is a standard error that theory knows it to have: replications that are all short differ little.

    The mean of their p99s is too low where a few of them have the worst queues, as with bursts and with few
    slots free. How sure it is, the jackknife tells: what it is without each of them, in logarithms, for it is
    skewed.
    """
    middle = _together(each)
    if not math.isfinite(middle):
        return Interval(mean=middle, low=middle, high=middle)
    count = len(each)
    if count < 2:  # noqa: PLR2004 - one has no spread
        return Interval(mean=middle, low=0.0, high=math.inf)
    without = [_together([*each[:number], *each[number + 1 :]]) for number in range(count)]
    if not all(map(math.isfinite, without)):
        return Interval(mean=middle, low=0.0, high=math.inf)
    logs = np.log(np.maximum([middle, *without], TINY_S))
    half = _t(count) * float(np.std((count - 1) * logs[1:], ddof=1)) / math.sqrt(count)
    half = max(half, Z * least_s / max(middle, TINY_S))
    return Interval(mean=middle, low=middle * math.exp(-half), high=middle * math.exp(min(half, 100.0)))


TINY_S: Final = 1e-9
Z: Final = float(ndtri((1 + CONFIDENCE) / 2))


def _together(each: Sequence[_Slowest]) -> float:
    total = sum(one.count for one in each)
    if not total:
        return math.inf
    ranked = np.concatenate([one.latency_s for one in each])
    place = max(0, len(ranked) - 1 - (total - math.ceil(0.99 * total)))
    return float(np.partition(ranked, place)[place])


def _t(count: int) -> float:
    return float(stdtrit(count - 1, (1 + CONFIDENCE) / 2))


def interval(values: Sequence[float], least: float = 0.0) -> Interval:
    """Return the mean of some values and its t interval; without bounds for a single one."""
    mean = float(np.mean(values))
    if not math.isfinite(mean):
        return Interval(mean=mean, low=mean, high=mean)
    if len(values) < 2:  # noqa: PLR2004 - one has no spread
        return Interval(mean=mean, low=least, high=math.inf)
    half = _t(len(values)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean=mean, low=max(least, mean - half), high=mean + half)


def _skipped(work: Work, warm: float, settle_s: float) -> int:
    """Return how many requests at the begin do not count."""
    if settle_s > 0:
        return int(np.searchsorted(work.due_s, settle_s))
    return int(len(work) * warm)


def figures(
    work: Work, outcome: Outcome, fleet: Fleet, warm: float = WARM_SHARE, settle_s: float = 0.0
) -> Figures:
    """Return what a simulation shows, without the share `warm` of its requests at the begin.

    Or without those that come before `settle_s`, where that is given.
    """
    skip = _skipped(work, warm, settle_s)
    ends, latency_s, wait_s = outcome.ends[skip:], outcome.latency_s[skip:], outcome.wait_s[skip:]
    good = np.sort(latency_s[ends == End.ANSWERED])
    waits = np.sort(wait_s[~np.isnan(wait_s)])
    span_s = float((work.due_s[skip:] + latency_s).max() - work.due_s[skip]) if len(ends) else 0.0
    if fleet.routing is Routing.SESSION or fleet.scaling is not None:
        slots_s = outcome.container_s * fleet.limit
    else:
        slots_s = fleet.containers * fleet.limit * outcome.span_s
    return Figures(
        p50_s=_quantile(good, 0.5),
        p95_s=_quantile(good, 0.95),
        p99_s=_quantile(good, 0.99),
        wait_p99_s=_quantile(waits, 0.99),
        error_ratio=float((ends != End.ANSWERED).mean()) if len(ends) else 0.0,
        throughput_rps=len(good) / span_s if span_s else 0.0,
        attempts=outcome.attempts / outcome.calls if outcome.calls else 1.0,
        refused_ratio=outcome.refused / outcome.attempts if outcome.attempts else 0.0,
        utilisation=outcome.work_s / slots_s if slots_s else 0.0,
        container_s=outcome.container_s / counted
        if (counted := len(work) - (skip if settle_s else 0))
        else 0.0,
    )


def _quantile(ranked: np.ndarray, q: float) -> float:
    return nearest_rank(ranked.tolist(), q) if len(ranked) else math.inf


def alone(draws: Draws, rate_rps: float, seeds: Sequence[int]) -> Interval:
    """Return the p99 of requests that wait for nothing: neither for a container, nor for a quota."""
    path_s = draws.workload.container.path_s
    works = (draws.work(rate_rps, seed) for seed in seeds)
    return interval([_quantile(np.sort(work.service_s), 0.99) + path_s for work in works])


def of_size(fleet: Fleet, containers: int) -> Fleet:
    """Return a fleet with another number of containers; an autoscaler's most follows."""
    scaling = None if fleet.scaling is None else replace(fleet.scaling, most=containers)
    return replace(fleet, containers=containers, scaling=scaling)
