"""What a fleet does with a workload: replications with seeds of their own, and how sure their mean is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import stdtrit

from harness.errors import InputError
from harness.plan.records import End, Fleet, ModelApi, Outcome, RetryRule, Routing, Work
from harness.plan.sampling import work_of
from harness.plan.simulate import simulate
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
        p99, errors: as sure as they are.
        figures: the means of all.
        each: of each replication.
    """

    rate_rps: float
    p99: Interval
    errors: Interval
    figures: Figures
    each: tuple[Figures, ...]


class Draws:
    """The requests of each seed and rate, drawn once: fleets are compared on the same ones.

    Args:
        workload: what they are like.
        requests: of a replication, about.
    """

    def __init__(self, workload: Workload, requests: int = REQUESTS) -> None:
        self.workload = workload
        self._requests = requests
        self._kept: dict[tuple[float, int], Work] = {}

    def of(self, workload: Workload) -> Draws:
        """Return the same requests of a workload that differs in its quota alone."""
        other = Draws(workload, self._requests)
        other._kept = self._kept
        return other

    def duration_s(self, rate_rps: float) -> float:
        """Return how long a replication lasts: whole days, where the rate changes over the day.

        Raises:
            InputError: it would be of more requests than can be simulated.
        """
        told = self.workload.arrivals
        duration_s = max(self._requests / rate_rps, LEAST_HELD * self.workload.service.held_s)
        if told.steps:
            duration_s = told.period_s * math.ceil(
                min(duration_s, MOST_PERIODS * told.period_s) / told.period_s
            )
        most = max(rate_rps * duration_s, duration_s / told.window_s if told.dispersion > 1 else 0)
        if most > MOST_DRAWN:
            why = "the rate changes over so long" if told.steps else "a request takes a hundredth of that"
            raise InputError(
                f"{rate_rps:g} requests/s for {duration_s:.4g} s, as {why}, are more than can be simulated "
                f"({MOST_DRAWN:,}, in bursts of {told.window_s:g} s). Ask for a lower rate, or write a "
                "workload without `steps`."
            )
        return duration_s

    def work(self, rate_rps: float, seed: int) -> Work:
        """Return the requests of a replication."""
        key = rate_rps, seed
        if key not in self._kept:
            if len(self._kept) > MOST_KEPT or sum(map(len, self._kept.values())) > MOST_KEPT_REQUESTS:
                self._kept.clear()
            at = self.workload.model_copy(update={"arrivals": self.workload.arrivals.at(rate_rps)})
            self._kept[key] = work_of(at, duration_s=self.duration_s(rate_rps), seed=seed)
        return self._kept[key]


MOST_KEPT, MOST_KEPT_REQUESTS = 40, 5_000_000


def model_of(workload: Workload) -> ModelApi:
    """Return what limits the answers of a workload's model."""
    return ModelApi(quota=workload.quota, fault_ratio=workload.fault_ratio)


def retry_of(workload: Workload) -> RetryRule:
    """Return what a workload's agents do after a refusal."""
    told = workload.retries
    return RetryRule(max_attempts=told.max_attempts, base_s=told.base_s, deadline_s=told.deadline_s)


def estimate(
    draws: Draws, fleet: Fleet, rate_rps: float, seeds: Sequence[int], *, errors: float = 0.0
) -> Point:
    """Simulate a fleet at a rate, once with each seed.

    Args:
        draws: the requests.
        fleet: that works on them.
        rate_rps: that arrives.
        seeds: of the replications.
        errors: by so many standard errors of what was calibrated the requests take longer than that says.
    """
    model, retry = model_of(draws.workload), retry_of(draws.workload)
    each = list[Figures]()
    for seed in seeds:
        work = draws.work(rate_rps, seed)
        if errors:
            work = longer(work, 1 + errors * standard_error(work, draws.workload.requests))
        each.append(figures(work, simulate(work, fleet, model, retry, seed), fleet))
    return point(rate_rps, each)


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


def point(rate_rps: float, each: Sequence[Figures]) -> Point:
    """Put replications together."""
    names = Figures.__dataclass_fields__
    mean = Figures(**{name: float(np.mean([getattr(one, name) for one in each])) for name in names})
    return Point(
        rate_rps=rate_rps,
        p99=interval([one.p99_s for one in each]),
        errors=interval([one.error_ratio for one in each], least=0.0),
        figures=mean,
        each=tuple(each),
    )


def interval(values: Sequence[float], least: float = 0.0) -> Interval:
    """Return the mean of some values and its t interval; without bounds for a single one."""
    mean = float(np.mean(values))
    if not math.isfinite(mean):
        return Interval(mean=mean, low=mean, high=mean)
    if len(values) < 2:  # noqa: PLR2004 - one has no spread
        return Interval(mean=mean, low=least, high=math.inf)
    half = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2) * np.std(values, ddof=1)) / math.sqrt(
        len(values)
    )
    return Interval(mean=mean, low=max(least, mean - half), high=mean + half)


def figures(work: Work, outcome: Outcome, fleet: Fleet, warm: float = WARM_SHARE) -> Figures:
    """Return what a simulation shows, without the share `warm` of its requests at the begin."""
    skip = int(len(work) * warm)
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
        container_s=outcome.container_s / len(work) if len(work) else 0.0,
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
