"""The smallest fleet that holds the limits, how far from the cliff it stands, and what limits it there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from harness.errors import InputError
from harness.plan.advice import advice
from harness.plan.asked import Answer, Asked, Binds, Candidate
from harness.plan.estimate import (
    REQUESTS,
    WITHOUT_QUEUE,
    Draws,
    Point,
    alone,
    estimate,
    of_size,
    settles_in_s,
    standard_error,
)
from harness.plan.records import Fleet, Routing
from harness.plan.theory import square_root_staffing
from harness.records.workload import Workload
from harness.simulator_config import Quota

SEEDS: Final = tuple(range(1, 11))
FEW_SEEDS: Final = SEEDS[:4]
"""For what is looked at on the way."""
ERRORS: Final = 2.0
"""Standard errors by which a calibration may well be off."""
ENOUGH: Final = 4.0
"""What so many times the offered load in slots does not hold, no number of containers does."""
LEAST_RATIO: Final = 0.01
"""Of failed requests, below which no more containers are tried than for that: a hundred times as many."""
MARGIN: Final = 0.25
"""Slots beyond those in use on average, in roots of their number. With fewer, a queue takes so many service
times to settle that neither a simulation nor a fleet on a real day comes to what it tends to."""
FURTHER: Final = 3
"""Containers fewer than a first guess that are asked about, too."""
SESSIONS_OFF: Final = 0.1
"""By which share the mean number of containers in a simulation may well be off."""
STEPS: Final = 7
"""Halvings in the search for a rate, from the first on that holds: 1 % of what is then left..."""
MOST_STEPS: Final = 20
"""...and so many in all: a plain Service holds at a hundredth of what its slots can do, or less."""
SESSIONS_BEYOND: Final = 1.5
"""Of the rate that keeps all containers of sessions up, as that is known about."""
KNEE_SHARES: Final = (0.35, 0.5, 0.65, 0.75, 0.82, 0.88, 0.93, 0.97, 1.01)
"""Of a fleet's capacity, the rates at which the plot has a point."""

BEYOND_KNEE: Final = 1.5
"""Of the highest rate that a plain Service sustains, where its plot ends."""


def answer(
    asked: Asked, on_phase: Callable[[str], None] = lambda _: None, *, requests: int | None = None
) -> Answer:
    """Make a plan.

    Args:
        asked: what is planned.
        on_phase: is told what is being looked for.
        requests: of each replication, about; None for `REQUESTS`.

    Raises:
        InputError: the p99 is below what a request takes that waits for nothing.
    """
    draws = Draws(asked.workload, requests or REQUESTS, settles_in_s(asked.workload, asked.fleet))
    alone_p99 = alone(draws, asked.rate_rps, SEEDS)
    if alone_p99.mean > asked.promise.p99_s:
        raise InputError(
            f"--p99 {asked.promise.p99_s:g}s: a request that waits for nothing has a p99 of "
            f"{alone_p99.mean:.3g} s by itself; no fleet can do better. Ask for more, or shorten the answers."
        )
    candidates = []
    for limit in asked.limits:
        on_phase(f"containers of limit {limit}: how many?")
        candidates.append(_candidate(draws, asked, limit))
    holding = [each for each in candidates if each.containers is not None]
    best = min(holding, key=lambda each: (each.containers or 0, each.limit), default=None)
    if best is None or best.fleet is None:
        return _impossible(draws, asked, tuple(candidates), alone_p99.mean)
    on_phase("how far is the cliff?")
    cliff_rps = _cliff(draws, asked, best.fleet, FEW_SEEDS)
    binds = _binds_at(draws, asked, best.fleet, cliff_rps * 1.05, alone_p99.mean)
    on_phase("how sure is the workload?")
    work = draws.work(asked.rate_rps, SEEDS[0])
    known_to = ERRORS * standard_error(work, asked.workload.requests)
    if_off = estimate(draws, best.fleet, asked.rate_rps, SEEDS, errors=ERRORS) if known_to else None
    on_phase("p99 against rate")
    sizes = sorted({max(1, round(best.fleet.containers * share)) for share in (0.75, 1.0, 1.5)})
    curves, knees = {}, {}
    for size in sizes:
        fleet = of_size(best.fleet, size)
        knees[size] = (
            cliff_rps if size == best.fleet.containers else _cliff(draws, asked, fleet, FEW_SEEDS[:2])
        )
        curves[size] = _curve(draws, fleet, knees[size])
    on_phase("what would other settings need?")
    instead = _instead(draws, asked, best.fleet)
    found = Answer(
        asked=asked,
        candidates=tuple(candidates),
        best=best,
        alone_p99_s=alone_p99.mean,
        cliff_rps=cliff_rps,
        binds=binds,
        curves=curves,
        knees=knees,
        instead=instead,
        known_to=known_to,
        if_off=if_off,
    )
    return replace(found, first=advice(found))


# --- how many --------------------------------------------------------------------------
def offered(workload: Workload, rate_rps: float) -> float:
    """Return how many slots are in use on average."""
    return rate_rps * (workload.service.held_s + workload.container.path_s)


def _candidate(draws: Draws, asked: Asked, limit: int) -> Candidate:
    fleet = replace(asked.fleet, limit=limit)

    def of(containers: int) -> Point:
        return estimate(draws, of_size(fleet, containers), asked.rate_rps, SEEDS)

    if asked.containers is not None:
        left = (
            asked.containers - math.ceil(asked.containers / asked.zones)
            if asked.zones > 1
            else asked.containers
        )
        if not left:
            raise InputError(
                f"--containers {asked.containers} --zones {asked.zones}: with a zone gone there is none left."
            )
        point = of(left)
        good = asked.promise.held(point)
        return Candidate(
            limit=limit,
            fleet=of_size(fleet, left) if good else None,
            containers=asked.containers if good else None,
            point=point,
        )
    needed, point = _smallest(draws, asked, fleet)
    if needed is None:
        return Candidate(limit=limit, fleet=None, containers=None, point=point)
    return Candidate(
        limit=limit, fleet=of_size(fleet, needed), containers=with_zones(needed, asked.zones), point=point
    )


def with_zones(needed: int, zones: int) -> int:
    """Return the containers of which enough are left when those of one zone are gone."""
    if zones <= 1:
        return needed
    count = needed
    while count - math.ceil(count / zones) < needed:
        count += 1
    return count


def _smallest(draws: Draws, asked: Asked, fleet: Fleet) -> tuple[int | None, Point]:
    """Find the fewest containers that hold the promise: halve what is between the least and plenty."""
    load = offered(asked.workload, asked.rate_rps) / fleet.limit
    most = _plenty(asked, fleet)

    def of(containers: int) -> Point:
        return estimate(draws, of_size(fleet, containers), asked.rate_rps, SEEDS)

    last = of(most)
    if not asked.promise.held(last):
        return None, last
    low, high = least_containers(asked.workload, asked.rate_rps, fleet), most
    guess = square_root_staffing(load, 0.1)
    if fleet.routing is Routing.SESSION:  # with fewer than are up on average more would be turned away
        at_once = last.figures.container_s * asked.rate_rps
        low = max(1, math.floor(at_once * (1 - asked.promise.error_ratio) * (1 - SESSIONS_OFF)))
        guess = square_root_staffing(at_once, 0.1)
    low = low_end = min(low, most)
    guess = max(low, min(most, guess))
    while low < high:
        if _met(asked, estimate(draws, of_size(fleet, guess), asked.rate_rps, FEW_SEEDS, brief=True)):
            high = guess
        else:
            low = guess + 1
        guess = (low + high) // 2
    return _sure(high, low_end, (most, last), of, asked.promise.held)


def _plenty(asked: Asked, fleet: Fleet) -> int:
    """Return the containers of which more would change nothing."""
    most = max(4, math.ceil(ENOUGH * offered(asked.workload, asked.rate_rps) / fleet.limit) + 4)
    if fleet.routing is Routing.READINESS:  # what a probe tells is old, so that hardly any may be in use
        return math.ceil(most / max(asked.promise.error_ratio, LEAST_RATIO))
    if fleet.routing is not Routing.SESSION:
        return most
    return max(most, math.ceil(2 * (asked.rate_rps * up_s(asked.workload, fleet) + 10)))


def _might_be_more(asked: Asked) -> bool:
    """Return whether more containers than `_plenty` might do: of ever more of them ever fewer are full."""
    searched = asked.containers is None and asked.fleet.routing is Routing.READINESS
    return searched and 0 < asked.promise.error_ratio < LEAST_RATIO


def _sure(
    guess: int,
    least: int,
    plenty: tuple[int, Point],
    of: Callable[[int], Point],
    held: Callable[[Point], bool],
) -> tuple[int, Point]:
    """Find the fewest containers near a guess by all replications: `least` or more, and `plenty` hold."""
    most, seen = plenty[0], dict([plenty])

    def holds(containers: int) -> bool:
        if containers not in seen:
            seen[containers] = of(containers)
        return held(seen[containers])

    high = guess
    if holds(high):
        while high > least and guess - high < FURTHER and holds(high - 1):
            high -= 1
        return high, seen[high]
    low, step = high + 1, 1
    while not holds(high := min(most, guess + step)):
        low, step = high + 1, 2 * step
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return high, seen[high]


def least_containers(workload: Workload, rate_rps: float, fleet: Fleet) -> int:
    """Return the containers below which none is looked for: those in use on average, and a margin."""
    if fleet.routing in WITHOUT_QUEUE:
        return 1
    load = offered(workload, rate_rps)
    return max(1, math.ceil((load + MARGIN * math.sqrt(load)) / fleet.limit))


def up_s(workload: Workload, fleet: Fleet) -> float:
    """Return for how long a request keeps the container of its session up, about.

    After each turn that is until the next, or as long as a container idles before it is stopped; and one that
    was stopped is started again.
    """
    told, points = workload.sessions, 200
    gaps_s = [told.think.at((number + 0.5) / points) for number in range(points)]
    between_s = sum(
        min(gap_s, fleet.idle_s) + fleet.cold_start_s * (gap_s > fleet.idle_s) for gap_s in gaps_s
    )
    again = 1 - 1 / told.turns
    last_s = fleet.idle_s + fleet.cold_start_s
    return workload.service.held_s + again * between_s / points + (1 - again) * last_s


# --- how far ---------------------------------------------------------------------------
def capacity_rps(workload: Workload, fleet: Fleet) -> float:
    """Return what the slots of a fleet can do at the most, or its containers where each has a session."""
    if fleet.routing is Routing.SESSION:
        return fleet.containers / up_s(workload, fleet)
    return fleet.containers * fleet.limit / (workload.service.held_s + workload.container.path_s)


def _cliff(draws: Draws, asked: Asked, fleet: Fleet, seeds: Sequence[int]) -> float:
    """Return the highest rate at which a fleet holds the promise, to some 1 %."""
    beyond = SESSIONS_BEYOND if fleet.routing is Routing.SESSION else 1.05
    low, high = 0.0, beyond * capacity_rps(asked.workload, fleet)
    left = STEPS
    for _ in range(MOST_STEPS):
        middle = (low + high) / 2
        found = estimate(draws, fleet, middle, seeds, brief=True)
        low, high = (middle, high) if _met(asked, found) else (low, middle)
        left -= low > 0
        if not left:
            break
    return low


def _met(asked: Asked, found: Point) -> bool:
    """Whether a fleet holds the promise as far as is known, be that sure or not."""
    figures = found.figures
    fine = figures.p99_s <= asked.promise.p99_s and figures.error_ratio <= asked.promise.error_ratio
    return found.lasts and fine


def _curve(draws: Draws, fleet: Fleet, knee_rps: float) -> tuple[Point, ...]:
    most_rps = capacity_rps(draws.workload, fleet)
    if fleet.routing is Routing.READINESS and knee_rps:  # what its slots can do is far from where it is used
        most_rps = min(most_rps, BEYOND_KNEE * knee_rps)
    rates_rps = [round(share * most_rps, 4) for share in KNEE_SHARES]
    return tuple(estimate(draws, fleet, rate_rps, FEW_SEEDS[:2], brief=True) for rate_rps in rates_rps)


# --- what binds ------------------------------------------------------------------------
def _with_quota(workload: Workload, factor: float | None) -> Workload:
    quota = workload.quota
    if quota is None:
        return workload
    more: Quota | None = None
    if factor is not None:
        tpm = None if quota.tpm is None else quota.tpm * factor
        # a burst larger than a second's refill would let through what no such quota does for long
        burst = min(quota.burst * factor, max(quota.burst, quota.rpm * factor / 60))
        held = None if quota.burst_tokens is None else quota.burst_tokens * factor
        more = quota.model_copy(
            update={"rpm": quota.rpm * factor, "tpm": tpm, "burst": max(1, burst), "burst_tokens": held}
        )
    return workload.model_copy(update={"quota": more})


def _binds_at(draws: Draws, asked: Asked, fleet: Fleet, rate_rps: float, alone_p99_s: float) -> Binds:
    """Return what would have to be more for a rate beyond the cliff."""
    if asked.workload.quota is not None:
        without = draws.of(_with_quota(asked.workload, None))
        if asked.promise.held(estimate(without, fleet, rate_rps, FEW_SEEDS)):
            return Binds.QUOTA
    more = of_size(fleet, 2 * fleet.containers)
    if asked.promise.broken(estimate(draws, more, rate_rps, FEW_SEEDS)):
        found = _beside(draws, asked, more, rate_rps)
        return found or (Binds.QUOTA if asked.workload.quota is not None else Binds.MODEL)
    return Binds.MODEL if alone_p99_s > MODEL_SHARE * asked.promise.p99_s else Binds.CONTAINERS


def _beside(draws: Draws, asked: Asked, fleet: Fleet, rate_rps: float) -> Binds | None:
    """Return what keeps a fleet from holding the promise that neither is its size nor the quota."""
    if asked.workload.fault_ratio:
        sound = draws.of(asked.workload.model_copy(update={"fault_ratio": 0.0}))
        if _met(asked, estimate(sound, fleet, rate_rps, FEW_SEEDS)):
            return Binds.FAULTS
    if fleet.routing is Routing.SESSION or fleet.scaling is not None:
        warm = replace(fleet, cold_start_s=0.0)
        if _met(asked, estimate(draws, warm, rate_rps, FEW_SEEDS)):
            return Binds.COLD_STARTS
    return None


MODEL_SHARE: Final = 0.9
"""Where requests that wait for nothing have this share of the promised p99, it is they that leave no room."""


def _quota_factor(asked: Asked, quota: Quota, held: Callable[[float | None], bool]) -> float | None:
    """Return how many times the quota it takes; None where no such quota does, however large."""
    service = asked.workload.service
    calls = 60 * asked.rate_rps * service.mean_calls
    most_of = max(1.0, calls / quota.rpm, calls * (service.tokens or 1) / quota.tpm if quota.tpm else 0.0)
    low, high = 1.0, max(2.0, most_of)
    while not held(high):
        low, high = high, 2 * high
        if high > 100 * most_of:
            return None
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if held(middle) else (middle, high)
    return high


def _impossible(draws: Draws, asked: Asked, candidates: tuple[Candidate, ...], alone_p99_s: float) -> Answer:
    """Say why no fleet holds the promise."""
    fleet = replace(asked.fleet, limit=max(asked.limits))
    fleet = of_size(fleet, _plenty(asked, fleet) if asked.containers is None else asked.containers)
    binds = Binds.CONTAINERS if asked.containers is not None else Binds.MODEL
    instead: dict[str, int] = {}
    quota, factor = asked.workload.quota, None
    if quota is not None:

        def held(factor: float | None) -> bool:
            return asked.promise.held(
                estimate(draws.of(_with_quota(asked.workload, factor)), fleet, asked.rate_rps, FEW_SEEDS)
            )

        if held(None):
            binds = Binds.QUOTA
            factor = _quota_factor(asked, quota, held)
    if binds is not Binds.QUOTA:
        binds = _beside(draws, asked, fleet, asked.rate_rps) or binds
    if binds is Binds.MODEL and (instead := _instead(draws, asked, fleet)):
        binds = Binds.ROUTING
    found = Answer(
        asked=asked,
        candidates=candidates,
        best=None,
        alone_p99_s=alone_p99_s,
        cliff_rps=None,
        binds=binds,
        instead=instead,
        tried=fleet.containers if _might_be_more(asked) else None,
        quota_needed_rpm=None if factor is None or quota is None else quota.rpm * factor,
        quota_needed_tpm=None if factor is None or quota is None or quota.tpm is None else quota.tpm * factor,
    )
    return replace(found, first=advice(found))


# --- what first ------------------------------------------------------------------------
def _instead(draws: Draws, asked: Asked, fleet: Fleet) -> dict[str, int]:
    """Return what the gate would need in place of another routing, and one balancer in place of several."""
    if asked.containers is not None:
        return {}
    others: dict[str, Fleet] = {}
    if fleet.routing is not Routing.BUSY_AWARE and fleet.routing is not Routing.SESSION:
        others["busy-aware"] = replace(fleet, routing=Routing.BUSY_AWARE, balancers=1)
    elif fleet.balancers > 1:
        others["one balancer"] = replace(fleet, balancers=1)
    found = {}
    for name, other in others.items():
        needed, _ = _smallest(draws, asked, other)
        if needed is not None:
            found[name] = with_zones(needed, asked.zones)
    return found
