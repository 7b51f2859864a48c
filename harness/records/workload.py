"""What a service is asked and what its requests take: a `workload.toml`, as `agentrig calibrate` writes it.

`agentrig plan` simulates fleets with it, the simulator answers as its model does, and a run is loaded by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from statistics import NormalDist
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from harness.simulator_config import MOST_SPREAD, Distribution, Latency, Quota, SimulatorConfig, Strict

_NORMAL: Final = NormalDist()
Rate = Annotated[float, Field(gt=0, le=1e6)]
Duration_s = Annotated[float, Field(ge=0, le=86_400)]
Share = Annotated[float, Field(ge=0, le=1)]
MOST_TOKENS: Final = 1_000_000_000
MOST_POINTS: Final = 1000
LEAST_POINTS: Final = 2
"""The least and the most."""


class Duration(Strict):
    """How long something takes, in seconds: constant, lognormal (with a p99), or as it was seen.

    Attributes:
        median_s: of it.
        p99_s: of a lognormal; None for a constant, or where `quantiles_s` are given.
        quantiles_s: in their place, the quantiles at even steps from the least to the most.
    """

    median_s: Duration_s = 0.0
    p99_s: Duration_s | None = None
    quantiles_s: Annotated[tuple[Duration_s, ...], Field(max_length=MOST_POINTS)] = ()

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.p99_s is not None and self.quantiles_s:
            raise ValueError("give p99_s, or quantiles_s, not both")
        if self.p99_s is not None and not 0 < self.median_s < self.p99_s <= MOST_SPREAD * self.median_s:
            raise ValueError(f"p99_s must be above median_s, by at most {MOST_SPREAD:,} times")
        if self.quantiles_s and (
            len(self.quantiles_s) < LEAST_POINTS or list(self.quantiles_s) != sorted(self.quantiles_s)
        ):
            raise ValueError("quantiles_s must be two or more, and rise")
        return self

    @property
    def sigma(self) -> float:
        """The lognormal's shape parameter; 0 for others."""
        return 0.0 if self.p99_s is None else math.log(self.p99_s / self.median_s) / _NORMAL.inv_cdf(0.99)

    @property
    def mean_s(self) -> float:
        """The mean."""
        if self.quantiles_s:
            between = [(low + high) / 2 for low, high in pairwise(self.quantiles_s)]
            return sum(between) / len(between)
        return self.median_s * math.exp(self.sigma**2 / 2)

    def at(self, q: float) -> float:
        """Return the q-quantile."""
        if self.quantiles_s:
            place = q * (len(self.quantiles_s) - 1)
            low = min(int(place), len(self.quantiles_s) - 2)
            return self.quantiles_s[low] + (place - low) * (self.quantiles_s[low + 1] - self.quantiles_s[low])
        return (
            self.median_s if self.p99_s is None else self.median_s * math.exp(self.sigma * _NORMAL.inv_cdf(q))
        )

    def as_distribution(self) -> Distribution:
        """Return what the simulator can draw: an empirical one becomes the lognormal of its quantiles."""
        if not self.quantiles_s:
            return Distribution(median_s=self.median_s, p99_s=self.p99_s)
        median_s, p99_s = self.at(0.5), self.at(0.99)
        if not 0 < median_s < p99_s <= MOST_SPREAD * median_s:
            return Distribution(median_s=self.mean_s)
        return Distribution(median_s=median_s, p99_s=p99_s)


class RateStep(Strict):
    """From `from_s` on, so many requests a second arrive."""

    from_s: Annotated[float, Field(ge=0)]
    rate_rps: Annotated[float, Field(ge=0, le=1e6)]


class Arrivals(Strict):
    """When requests come.

    Attributes:
        rate_rps: the mean.
        dispersion: variance over mean of the counts in windows of `window_s`, of sessions that begin; their
            later turns follow. 1 for a Poisson process.
        window_s: how long a burst lasts, about.
        steps: the rate over the day, where it was seen long enough, repeated after `period_s`. It is their
            shape that counts: their mean is made `rate_rps`.
        period_s: when the steps begin again.
    """

    rate_rps: Rate
    dispersion: Annotated[float, Field(ge=1, le=1e4)] = 1.0
    window_s: Annotated[float, Field(ge=1e-5, le=86_400)] = 10.0
    steps: Annotated[tuple[RateStep, ...], Field(max_length=MOST_POINTS)] = ()
    period_s: Annotated[float, Field(ge=60, le=604_800)] = 86_400.0

    @model_validator(mode="after")
    def _steps_rise(self) -> Self:
        begins = [step.from_s for step in self.steps]
        if begins and (begins[0] != 0 or begins != sorted(set(begins)) or begins[-1] >= self.period_s):
            raise ValueError("steps must begin at 0, rise, and end before period_s")
        if self.steps and not any(step.rate_rps for step in self.steps):
            raise ValueError("steps: nothing ever arrives")
        return self

    @property
    def mean_of_steps_rps(self) -> float:
        """The mean of the steps, over their period."""
        ends = [*(step.from_s for step in self.steps[1:]), self.period_s]
        came = (step.rate_rps * (end_s - step.from_s) for step, end_s in zip(self.steps, ends, strict=True))
        return sum(came) / self.period_s

    def at(self, rate_rps: float) -> Arrivals:
        """Return the same with another mean rate."""
        factor = rate_rps / self.rate_rps
        steps = tuple(RateStep(from_s=s.from_s, rate_rps=s.rate_rps * factor) for s in self.steps)
        # the share of the variance that is beyond chance grows with the rate
        dispersion = min(1 + (self.dispersion - 1) * factor, 1e4)
        return self.model_copy(update={"rate_rps": rate_rps, "steps": steps, "dispersion": dispersion})


class Sessions(Strict):
    """How requests belong together.

    Attributes:
        turns: mean requests of a session; geometric.
        think: between two turns, from due to due.
    """

    turns: Annotated[float, Field(ge=1, le=1000)] = 1.0
    think: Duration = Duration(median_s=2.0)


class Service(Strict):
    """What a request takes in a container when nothing is in its way, part by part.

    Attributes:
        own: the container's work before the first model call, sessions excluded.
        session: reading and writing the session.
        calls: shares of requests with 1, 2, 3, ... model calls.
        first_token: of a call.
        rest: of a call, from the first token to its end.
        tokens_out: of a call, the mean; None where nothing tells.
        tokens: of a call against the quota, in and out.
        tool: between two calls.
        tail: after the last call until the answer is out.
        after_answer: work that goes on then.
        same_request: share of a call's variance that all calls of one request have in common.
        same_session: share of it that all turns of one session have in common.
    """

    own: Duration = Duration()
    session: Duration = Duration()
    calls: Annotated[tuple[Share, ...], Field(min_length=1, max_length=64)] = (1.0,)
    first_token: Duration = Duration()
    rest: Duration = Duration()
    tokens_out: Annotated[float, Field(gt=0, le=MOST_TOKENS)] | None = None
    tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = None
    tool: Duration = Duration()
    tail: Duration = Duration()
    after_answer: Duration = Duration()
    same_request: Share = 0.0
    same_session: Share = 0.0

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if abs(sum(self.calls) - 1) > 0.01:  # noqa: PLR2004 - rounding
            raise ValueError("calls: the shares must sum to 1")
        if self.same_request + self.same_session > 1:
            raise ValueError("same_request and same_session are shares of one variance: at most 1 together")
        if self.mean_s <= 0:
            raise ValueError("a request takes no time at all: give at least one part")
        return self

    @property
    def mean_calls(self) -> float:
        """Model calls of a request."""
        return sum(number * share for number, share in enumerate(self.calls, start=1)) / sum(self.calls)

    @property
    def mean_s(self) -> float:
        """Seconds of a request until its answer, the mean."""
        once = self.own.mean_s + self.session.mean_s + self.tail.mean_s
        call = self.first_token.mean_s + self.rest.mean_s
        return once + self.mean_calls * call + (self.mean_calls - 1) * self.tool.mean_s

    @property
    def held_s(self) -> float:
        """Seconds that it holds a slot, the mean: until its answer, and after."""
        return self.mean_s + self.after_answer.mean_s

    def parts(self) -> Iterator[tuple[str, Duration]]:
        """Yield each part with its name."""
        for name in ("own", "session", "first_token", "rest", "tool", "tail", "after_answer"):
            yield name, getattr(self, name)


class Retries(Strict):
    """What is done when the model API refuses: Retry-After + U(0, base_s * 2^(attempt - 1))."""

    max_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    base_s: Annotated[float, Field(ge=0, le=60)] = 2.0
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = 60.0


class ContainerFacts(Strict):
    """What is known of a container beside its work.

    Attributes:
        cold_start_s: until a new one takes requests.
        path_s: what a request takes on the way to it and back.
        cpu_s: CPU seconds of a request; None where nothing tells.
    """

    cold_start_s: Duration_s = 2.0
    path_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    cpu_s: Annotated[float, Field(ge=0)] | None = None


class Workload(Strict):
    """A workload, whole.

    Attributes:
        name: of the service.
        source: what it was calibrated from.
        requests: so many it rests on; 0 for one that was written by hand.
        arrivals, sessions, service, retries, container: see each.
        fault_ratio: of the attempts of model calls, those that failed beside the quota's refusals.
        quota: of the model API; None where none was met.
        doubts: why it may not be what the service is like (it was overloaded, sampled, seen for too short), a
            sentence each: a plan that rests on it is unknown, until somebody who knows better deletes them.
        unknown: what else could not be told, and what is taken in its place: the plan says them again.
    """

    name: Annotated[str, Field(max_length=200)] = "workload"
    source: str = ""
    requests: Annotated[int, Field(ge=0)] = 0
    fault_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0
    doubts: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    arrivals: Arrivals
    sessions: Sessions = Sessions()
    service: Service
    retries: Retries = Retries()
    container: ContainerFacts = ContainerFacts()
    quota: Quota | None = None

    def simulator(self, seed: int = 1) -> SimulatorConfig:
        """Return what the model API simulator is told to answer as the model did."""
        tokens = max(2, min(4096, round(self.service.tokens_out or 8)))
        rest = self.service.rest.as_distribution()
        itl = Distribution(
            median_s=rest.median_s / (tokens - 1),
            p99_s=None if rest.p99_s is None else rest.p99_s / (tokens - 1),
        )
        latency = Latency(ttft=self.service.first_token.as_distribution(), itl=itl, tokens=tokens)
        turns = max(0, min(8, round(self.service.mean_calls) - 1))
        return SimulatorConfig(seed=seed, latency=latency, tool_turns=turns, quota=self.quota)


def to_toml(workload: Workload) -> str:
    """Write a workload as TOML: what is at its default is left out."""
    record = workload.model_dump(mode="json", exclude_defaults=True)
    lines = [f"# What {workload.name} is asked, and what its requests take. Seconds, requests a second.", ""]
    lines += [f"{key} = {_value(value)}" for key, value in record.items() if not isinstance(value, Mapping)]
    for name, table in record.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        short = float(f"{value:.6g}")
        return repr(short)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key} = {_value(each)}" for key, each in value.items())
        return f"{{ {inside} }}"
    return f"[{', '.join(map(_value, value))}]"
