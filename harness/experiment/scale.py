"""An experiment at a share of its rates: the same in slow motion, for a machine that can't carry it as it is.

Rates fall, and what takes time takes longer in proportion: the windows of faults, the phases of the load, the
gaps between kills, and the model's latency where the rate follows from it. So the same seeds give the same
requests in the same order, the containers are as busy, and each fault meets as many requests.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from harness.errors import InputError
from harness.records.spec import (
    AutoscaleSpec,
    EventSpec,
    ExperimentSpec,
    FleetSpec,
    LoadSpec,
    PhaseSpec,
    RampSpec,
)
from harness.simulator_config import Distribution, FaultRule, Latency, Quota, SimulatorConfig

SPREAD: Final = 4.0
"""Standard deviations that a Poisson count may fall short of its mean; one is the mean's square root."""
LEAST_BURST: Final = 4
"""Requests of a burst for each container at the least: so many come together there, and can race."""
MOST_TIMEOUT_S: Final = 3600.0
BACKOFF: Final = "AGENT_RETRY_BASE_S"
"""The agent's wait between attempts, where an experiment says it: it has to outlast the quota's refill."""


def scaled(spec: ExperimentSpec, scale: float, *, burst: float = 1.0) -> ExperimentSpec:
    """Return an experiment at a share of its rates.

    Args:
        spec: as it was written.
        scale: what its rates are multiplied by, above 0.
        burst: what the size of its first burst is multiplied by, above 0 and at most 1.

    Returns:
        One that takes up to `1 / scale` times as long, or as long as before for a scale above 1, without a
        matrix. A load that is nothing but a steady rate takes only as long as the checks' least number of
        requests needs.

    Raises:
        InputError: scaled like this, something is more than an experiment may have.
    """
    if scale == 1.0 and burst == 1.0:
        return spec
    longer = slowed_by(scale)
    changed: dict[str, Any] = {
        "load": _load(spec, scale, longer, burst),
        "fleet": _fleet(spec.fleet, longer),
        "arms": {
            name: arm.model_copy(
                update={
                    "events": _events(arm.events, longer) if arm.events else arm.events,
                    "autoscale": _looking(arm.autoscale, longer),
                    "weather": tuple(rule.slowed(longer) for rule in arm.weather)
                    if arm.weather
                    else arm.weather,
                    "env": _backing_off(arm.env, longer),
                }
            )
            for name, arm in spec.arms.items()
        },
        "simulator": _simulator(spec, scale, longer),
        "rate_scale": spec.rate_scale * scale,
        "matrix": (),  # its values are for the rates as they were written: its cells are scaled one by one
    }
    try:
        return ExperimentSpec.model_validate(spec.model_copy(update=changed).model_dump())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{spec.name}: at {scale:g} of its rates, {key}: {first['msg']}. Choose another --rate-scale."
        ) from error


def slowed_by(scale: float) -> float:
    """Return what times are multiplied by at a share of an experiment's rates."""
    return max(1.0, 1 / scale)


def backoff_slowed(spec: ExperimentSpec, arm: str) -> float:
    """Return what the waits between attempts of an arm's agents were multiplied by.

    It is 1 where the experiment says none, and for a user's agent, which need not heed what it says.
    """
    said = spec.arms[arm].agent == "reference" and BACKOFF in spec.fleet_of(arm).env
    return slowed_by(spec.rate_scale) if said else 1.0


def planned_for(requests: int) -> float:
    """Return the mean count of arrivals of which at least `requests` come, in all but one of 10,000 draws."""
    return ((SPREAD + math.sqrt(SPREAD**2 + 4 * requests)) / 2) ** 2


def _load(spec: ExperimentSpec, scale: float, longer: float, burst: float) -> LoadSpec:
    load = spec.load
    agents = max(spec.fleet_of(arm).agents for arm in spec.arms)
    first = min(load.burst, max(LEAST_BURST * agents, math.ceil(load.burst * burst)))
    if load.rate_rps <= 0 and load.utilisation is None:
        first = load.burst  # there is nothing else
    return load.model_copy(
        update={
            "burst": first,
            "quiet_s": load.quiet_s * longer,
            "rate_rps": load.rate_rps * scale,
            "duration_s": _duration_s(spec, scale, longer, first),
            "phases": tuple(_phase(phase, scale, longer) for phase in load.phases),
            "ramp": _ramp(load.ramp, scale) if load.ramp else None,
            "timeout_s": max(load.timeout_s, min(MOST_TIMEOUT_S, load.timeout_s * longer)),
            "turn_gap_s": load.turn_gap_s * longer,
        }
    )


def _duration_s(spec: ExperimentSpec, scale: float, longer: float, burst: int) -> float:
    load = spec.load
    events = spec.fleet.events or any(arm.events for arm in spec.arms.values())
    events = events or any(spec.fleet_of(arm).autoscale for arm in spec.arms)
    weather = spec.fleet.weather or any(arm.weather for arm in spec.arms.values())
    timed = load.utilisation or load.phases or load.ramp or events or weather
    if timed or any(rule.window_s for rule in spec.simulator.faults) or load.rate_rps <= 0:
        return load.duration_s * longer
    needed_s = (planned_for(spec.min_requests) - burst) / (load.rate_rps * scale)
    return min(load.duration_s * longer, max(load.duration_s, needed_s))


def _phase(phase: PhaseSpec, scale: float, longer: float) -> PhaseSpec:
    return phase.model_copy(
        update={"rate_rps": phase.rate_rps * scale, "duration_s": phase.duration_s * longer}
    )


def _ramp(ramp: RampSpec, scale: float) -> RampSpec:
    """Lower the steps; where requests take longer at fewer a second, their limit rises as much."""
    slower = bool(ramp.utilisations) or ramp.agent_cpu_s is not None
    return ramp.model_copy(
        update={
            "rates_rps": tuple(rate_rps * scale for rate_rps in ramp.rates_rps),
            "p99_ms": ramp.p99_ms / scale if slower else ramp.p99_ms,
        }
    )


def _fleet(fleet: FleetSpec, longer: float) -> FleetSpec:
    return fleet.model_copy(
        update={
            "events": _events(fleet.events, longer),
            "autoscale": _looking(fleet.autoscale, longer),
            "weather": tuple(rule.slowed(longer) for rule in fleet.weather),
            "env": _backing_off(fleet.env, longer),
        }
    )


def _backing_off(env: Mapping[str, str], longer: float) -> Mapping[str, str]:
    """Lengthen the agent's waits, where an experiment says them; of what is no number the agent complains."""
    try:
        base_s = float(env[BACKOFF])
    except (KeyError, ValueError):
        return env
    return {**env, BACKOFF: f"{base_s * longer:g}"}


def _events(events: tuple[EventSpec, ...], longer: float) -> tuple[EventSpec, ...]:
    return tuple(
        event.model_copy(
            update={
                "at_s": event.at_s * longer,
                "every_s": event.every_s * longer,
                "for_s": min(600.0, event.for_s * longer),
                "grace_s": min(600.0, event.grace_s * longer),
            }
        )
        for event in events
    )


def _looking(autoscale: AutoscaleSpec | None, longer: float) -> AutoscaleSpec | None:
    if autoscale is None:
        return None
    return autoscale.model_copy(
        update={
            "sync_s": min(3600.0, autoscale.sync_s * longer),
            "down_s": min(3600.0, autoscale.down_s * longer),
        }
    )


def _simulator(spec: ExperimentSpec, scale: float, longer: float) -> SimulatorConfig:
    simulator = spec.simulator
    at_work = any(
        event.action in {"kill", "replace"}
        for events in (spec.fleet.events, *(arm.events or () for arm in spec.arms.values()))
        for event in events
    )  # which has to find as many at work
    at_work = at_work or any(spec.fleet_of(arm).autoscale for arm in spec.arms)  # by as many it decides
    follows = at_work or spec.load.utilisation is not None
    follows = follows or bool(spec.load.ramp and spec.load.ramp.utilisations)
    changed: dict[str, Any] = {"faults": tuple(_fault(rule, longer) for rule in simulator.faults)}
    if follows and scale < 1:  # the rate is that of what the containers can do: they get as much slower
        changed["latency"] = _slower(simulator.latency, 1 / scale)
    if simulator.quota is not None:
        changed["quota"] = _quota(simulator.quota, scale)
    return simulator.model_copy(update=changed)


def _fault(rule: FaultRule, longer: float) -> FaultRule:
    if rule.window_s is None:
        return rule
    from_s, to_s = rule.window_s
    return rule.model_copy(update={"window_s": (from_s * longer, to_s * longer)})


def _slower(latency: Latency, factor: float) -> Latency:
    return latency.model_copy(
        update={"ttft": _times(latency.ttft, factor), "itl": _times(latency.itl, factor)}
    )


def _times(duration: Distribution, factor: float) -> Distribution:
    p99_s = None if duration.p99_s is None else duration.p99_s * factor
    return Distribution(median_s=duration.median_s * factor, p99_s=p99_s)


def _quota(quota: Quota, scale: float) -> Quota:
    tpm = None if quota.tpm is None else quota.tpm * scale
    tokens = quota.burst_tokens or quota.tpm  # as many calls meet the bucket: it holds as many tokens
    return quota.model_copy(update={"rpm": quota.rpm * scale, "tpm": tpm, "burst_tokens": tokens})
