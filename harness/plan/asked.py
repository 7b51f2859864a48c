"""What is planned, and the plan: the records of the search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from harness.plan.estimate import Point
from harness.plan.records import Fleet
from harness.records.workload import Workload


class Binds(StrEnum):
    """What limits a fleet."""

    CONTAINERS = "containers"
    QUOTA = "quota"
    MODEL = "the model's own latency"
    FAULTS = "the model API's faults"
    COLD_STARTS = "cold starts"
    ROUTING = "the routing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What is to be held.

    Attributes:
        p99_s: of the latency.
        error_ratio: share of the requests that may fail.
    """

    p99_s: float
    error_ratio: float = 0.01

    def held(self, point: Point) -> bool:
        """Whether a fleet holds it with the stated confidence: by the upper ends of both intervals.

        And for as long as requests come: what has too few slots may be within a limit for an hour.
        """
        return (
            point.lasts
            and not point.too_short
            and point.p99.high <= self.p99_s
            and point.errors.high <= self.error_ratio
        )

    def broken(self, point: Point) -> bool:
        """Whether it doesn't, with the same confidence. Neither may be so."""
        return point.never_lasts or point.p99.low > self.p99_s or point.errors.low > self.error_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is planned.

    Attributes:
        workload: that is to be served.
        promise: that is to be held.
        rate_rps: that arrives.
        fleet: what it is like; its number of containers is what is looked for.
        limits: requests that a container works on at once, each tried.
        zones: one of them may be gone; 1 for no such promise.
        containers: in place of the search, the fleet that is asked about.
    """

    workload: Workload
    promise: Promise
    rate_rps: float
    fleet: Fleet
    limits: tuple[int, ...] = (1,)
    zones: int = 1
    containers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The smallest fleet with some limit.

    Attributes:
        fleet: with its containers as they are needed while all zones are there; None when none holds.
        containers: with those of a zone that may be gone.
        point: what it does at the rate asked.
    """

    limit: int
    fleet: Fleet | None
    containers: int | None
    point: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A plan.

    Attributes:
        asked: see there.
        candidates: for each limit.
        best: the one with the fewest containers, then the lowest limit; None when none holds.
        alone_p99_s: of requests that wait for nothing.
        cliff_rps: highest rate that the best sustains; None without one.
        binds: what limits there, or what keeps every fleet from holding.
        quota_needed_rpm: of a quota that binds, what it would have to be, in requests a minute...
        quota_needed_tpm: ...and in tokens, where it has a limit on those; None where no quota does.
        curves: p99 against rate, by containers; the last of each rising list may be beyond the cliff.
        knees: highest rate that each of these sustains.
        instead: what other settings would need, by their names.
        tried: the most containers that were tried, where none holds and more might; None where none would.
        first: what to change first.
        known_to: by which share the mean of what a request takes may be off, by the number that it rests on:
            two standard errors; 0 where it was written by hand.
        if_off: what the best does where it is off by that.
    """

    asked: Asked
    candidates: tuple[Candidate, ...]
    best: Candidate | None
    alone_p99_s: float
    cliff_rps: float | None
    binds: Binds
    quota_needed_rpm: float | None = None
    quota_needed_tpm: float | None = None
    curves: Mapping[int, tuple[Point, ...]] = field(default_factory=dict)
    knees: Mapping[int, float] = field(default_factory=dict)
    instead: Mapping[str, int] = field(default_factory=dict)
    tried: int | None = None
    first: str = ""
    known_to: float = 0.0
    if_off: Point | None = None

    @property
    def unsure(self) -> bool:
        """Whether the best breaks the promise where requests take as long as they well may."""
        return self.if_off is not None and self.asked.promise.broken(self.if_off)

    @property
    def undecided(self) -> bool:
        """Whether no fleet was seen to hold the promise, and some not to break it either."""
        promise = self.asked.promise
        return self.best is None and not all(promise.broken(each.point) for each in self.candidates)

    @property
    def headroom(self) -> float | None:
        """How much more the best can take, as a share of the rate."""
        return None if self.cliff_rps is None else self.cliff_rps / self.asked.rate_rps - 1
