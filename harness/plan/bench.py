"""A workload on the bench: the load and the model API simulator of an experiment behave as it says."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from harness.records.spec import ExperimentSpec, LoadSpec, PhaseSpec
from harness.records.workload import Duration, Workload

MOST_TURNS: Final = 50
LEAST_BURSTS: Final = 10
"""A load has at least so many windows of a rate of their own, or bursts would be no part of it."""


def shaped(spec: ExperimentSpec, workload: Workload) -> ExperimentSpec:
    """Return an experiment whose load and model behave as a workload: its own rates, faults and quota stay.

    Args:
        spec: the experiment. One whose rate follows from a utilisation keeps its Poisson process.
        workload: whose latencies, tool calls, sessions and bursts it gets.
    """
    told = workload.simulator(spec.seed)
    simulator = spec.simulator.model_copy(update={"latency": told.latency, "tool_turns": told.tool_turns})
    load: dict[str, Any] = {
        "turns": turns(workload),
        "turn_gap_s": min(workload.sessions.think.mean_s, 3600.0),
    }
    plain = spec.load.utilisation is None and not spec.load.phases and spec.load.ramp is None
    if plain and spec.load.duration_s > 0:
        bursty = bursts(workload, spec.load.rate_rps, spec.load.duration_s, spec.seed)
        load |= bursty.model_dump(include={"rate_rps", "duration_s", "phases"})
    record = spec.model_dump()
    record["simulator"] = simulator.model_dump()
    record["load"] = {**record["load"], **load}
    return ExperimentSpec.model_validate(record)


def as_run(workload: Workload) -> Workload:
    """Return what a workload is like on the bench: each part of a call a lognormal, drawn anew for each call.

    And each request makes as many calls as every other.
    """
    told = workload.simulator()
    first, rest = (each.as_distribution() for each in (workload.service.first_token, workload.service.rest))
    changed = {
        "first_token": Duration(median_s=first.median_s, p99_s=first.p99_s),
        "rest": Duration(median_s=rest.median_s, p99_s=rest.p99_s),
        "calls": (*(0.0 for _ in range(told.tool_turns)), 1.0),
        "same_request": 0.0,
        "same_session": 0.0,
    }
    return workload.model_copy(update={"service": workload.service.model_copy(update=changed)})


def turns(workload: Workload) -> int:
    """Return how many requests a session has on the bench."""
    return max(1, min(MOST_TURNS, round(workload.sessions.turns)))


def bursts(workload: Workload, rate_rps: float, duration_s: float, seed: int) -> LoadSpec:
    """Return a load with a mean rate, as bursty as the workload: a phase for each window of its rate."""
    told = workload.arrivals.at(rate_rps)
    if told.dispersion <= 1:
        return LoadSpec(rate_rps=rate_rps, duration_s=duration_s)
    window_s = min(told.window_s, duration_s / LEAST_BURSTS)
    count = int(duration_s / window_s)
    variance = (told.dispersion - 1) / (rate_rps * window_s)
    drawn = np.random.default_rng([seed, 7]).gamma(1 / variance, variance, count)
    rates = drawn / drawn.mean() * rate_rps
    phases = tuple(
        PhaseSpec(name=f"window-{number}", rate_rps=float(rate), duration_s=window_s)
        for number, rate in enumerate(rates[1:], start=2)
    )
    return LoadSpec(rate_rps=float(rates[0]), duration_s=window_s, phases=phases)
