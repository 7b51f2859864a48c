"""`forecast.json` and `check.json`: a plan, and how it came out beside a real fleet, for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from harness.plan import words
from harness.plan.asked import Answer, Candidate
from harness.plan.prices import Prices, per_thousand
from harness.run.formats import FORMAT

FORECAST: Final = "forecast.json"
CHECK: Final = "check.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateTold:
    """The smallest fleet with some limit.

    Attributes:
        limit: requests that a container of it works on at once.
        containers: of it; null when none holds.
        p99_s, p99_low_s, p99_high_s: of the latency at the rate asked, and its interval; null where it has no
            end.
        error_ratio: share of requests that fail.
        attempts: of a model call, on average.
        utilisation: of its slots.
        container_s: container-seconds a request.
        cost_per_1000: requests, where prices were given, and for all that nothing is missing: tokens may be.
    """

    limit: int
    containers: int | None
    p99_s: float | None
    p99_low_s: float | None
    p99_high_s: float | None
    error_ratio: float
    attempts: float
    utilisation: float
    container_s: float
    cost_per_1000: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A plan.

    Attributes:
        format: of the file: see `run/formats.py`.
        rate_rps, p99_s, error_ratio, zones, routing, balancers: what was asked.
        holds: whether a fleet holds it; containers and limit are those of the smallest.
        alone_p99_s: of requests that wait for nothing.
        cliff_rps: highest rate that it sustains; headroom is how much more that is, as a share.
        binds: what limits there, or keeps every fleet from holding.
        quota_needed_rpm, quota_needed_tpm: of a quota that binds.
        instead: what other settings would need, by their names.
        first: what to change first.
        undecided: whether none was seen to hold it, and some not to break it either.
        unsure: whether it is broken where requests take as long as they well may.
        known_to: by which share the mean of what a request takes may be off.
        doubts, unknown: of the workload.
        candidates: for each limit.
        curves: pairs of rate and p99 (null beyond the cliff), by containers.
        knees_rps: highest rate that each of these sustains.
    """

    format: int = FORMAT
    rate_rps: float
    p99_s: float
    error_ratio: float
    zones: int
    routing: str
    balancers: int
    holds: bool
    containers: int | None
    limit: int | None
    alone_p99_s: float
    cliff_rps: float | None
    headroom: float | None
    binds: str
    quota_needed_rpm: float | None
    quota_needed_tpm: float | None
    instead: Mapping[str, int]
    first: str
    undecided: bool
    unsure: bool
    known_to: float
    doubts: tuple[str, ...]
    unknown: tuple[str, ...]
    candidates: tuple[CandidateTold, ...]
    curves: Mapping[str, tuple[tuple[float, float | None], ...]]
    knees_rps: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureTold:
    """A figure of a fleet: as predicted, with the ends between which 95 % of runs lie, and as measured.

    Attributes:
        within: whether it lies there.
    """

    predicted: float
    low: float
    high: float
    measured: float
    within: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTold:
    """A plan held against a real fleet.

    Attributes:
        format: of the file: see `run/formats.py`.
        containers, limit, rate_rps: of the fleet that was started.
        planned: containers of the plan, where that is another number.
        requests: that were sent.
        within: whether all figures are as predicted; null where that can't be told.
        doubt: why not.
        figures: compared, by name.
    """

    format: int = FORMAT
    containers: int
    planned: int
    limit: int
    rate_rps: float
    requests: int
    within: bool | None
    doubt: str | None
    figures: Mapping[str, FigureTold]


def to_json(found: Answer, prices: Prices | None) -> str:
    """Write a plan for programs."""
    asked, best = found.asked, found.best
    return text_of(
        Forecast(
            rate_rps=asked.rate_rps,
            p99_s=asked.promise.p99_s,
            error_ratio=asked.promise.error_ratio,
            zones=asked.zones,
            routing=asked.fleet.routing.value,
            balancers=asked.fleet.balancers,
            holds=best is not None,
            containers=None if best is None else best.containers,
            limit=None if best is None else best.limit,
            alone_p99_s=found.alone_p99_s,
            cliff_rps=found.cliff_rps,
            headroom=found.headroom,
            binds=found.binds.value,
            quota_needed_rpm=found.quota_needed_rpm,
            quota_needed_tpm=found.quota_needed_tpm,
            instead=dict(found.instead),
            first=found.first,
            undecided=found.undecided,
            unsure=found.unsure,
            known_to=found.known_to,
            doubts=tuple(asked.workload.doubts),
            unknown=tuple(asked.workload.unknown),
            candidates=tuple(_candidate(each, found, prices) for each in found.candidates),
            curves={
                str(size): tuple((point.rate_rps, _finite(point.figures.p99_s)) for point in curve)
                for size, curve in found.curves.items()
            },
            knees_rps={str(size): knee for size, knee in found.knees.items()},
        )
    )


def _candidate(each: Candidate, found: Answer, prices: Prices | None) -> CandidateTold:
    point, spare = each.point, words.spare(each)
    cost = None if prices is None else per_thousand(point, found.asked.workload, prices, spare)
    return CandidateTold(
        limit=each.limit,
        containers=each.containers,
        p99_s=_finite(point.p99.mean),
        p99_low_s=_finite(point.p99.low),
        p99_high_s=_finite(point.p99.high),
        error_ratio=point.figures.error_ratio,
        attempts=point.figures.attempts,
        utilisation=point.figures.utilisation,
        container_s=point.figures.container_s * spare,
        cost_per_1000=cost,
    )


def text_of(record: Forecast | CheckTold) -> str:
    """Return what is written of a record."""
    told: dict[str, Any] = asdict(record)
    return json.dumps(told, indent=2) + "\n"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
