"""At which share of its rates an experiment fits this machine.

A load that a fast machine carries fills a slow one, and then the machine is measured and not the agent. So a
run begins with a short calibration, and each experiment's load is scaled until the machine keeps to itself in
every arm: the same seeds, the same utilisation of the containers, only fewer requests a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from harness.experiment.scale import planned_for, scaled
from harness.records.calibration import Calibration, RequestKind
from harness.records.spec import ExperimentSpec, FleetSpec, LoadSpec

PER_REQUEST: Final = "per-request-clients"
"""The costliest of the control arms: it builds all clients anew for each request."""
CONTROLS: Final = "AGENT_CONTROLS"
MACHINE_SHARE: Final = 0.6
"""Of the free cores that a load may keep busy at its highest rate: the guard is at 0.85, draws vary, and what
comes in bursts needs room."""
CONTAINER_SHARE: Final = 0.7
"""Of one core that a container may need: it is one Python process, above it requests queue for its thread."""
STARTING_SHARE: Final = 0.3
"""Of a fleet's containers that may be starting at a time: where they are killed faster than others take their
place, the fleet melts away, and none that is killed is at work any more."""
STARTS_BESIDE_LOAD: Final = 1.3
"""So many seconds a start takes for each of its CPU seconds, beside a load: on two cores 1.25 as a process,
1.28 as a pod and 1.43 in Docker, from the kill to the new one's place in the balancer's list."""
LONGEST: Final = 4.0
"""A load is made at most so many times as long for want of requests; `SCALES` ends there, too."""
LEAST_QUIET_S: Final = 2.0
"""A burst may take the machine so many seconds, where the experiment allows for less."""
LOAD_SHARE: Final = 0.5
"""Of one core that the load may need: above it, it sends late."""
SCALES: Final = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25)
"""The scales in use: two runs on one machine shall ask the same, although their calibrations differ."""


def describe_scale(spec: ExperimentSpec, as_written: ExperimentSpec) -> str | None:
    """Say in a line what was changed of an experiment to fit this machine; None for nothing."""
    length_s, written_s = (each.load_of(next(iter(each.arms))).length_s for each in (spec, as_written))
    changes = [
        f"at {spec.rate_scale:g} of its rates" if spec.rate_scale != 1.0 else "",
        f"a burst of {spec.load.burst} for {as_written.load.burst}"
        if spec.load.burst != as_written.load.burst
        else "",
        f"a load of {length_s:.0f} s for {written_s:.0f} s" if round(length_s) != round(written_s) else "",
    ]
    if not any(changes):
        return None
    return f"{spec.name}: {', '.join(filter(None, changes))}, so that the machine is not what is measured"


def kind_of(spec: ExperimentSpec, arm: str) -> RequestKind:
    """Return how an arm's requests are worked on."""
    env = {**spec.fleet.env, **spec.arms[arm].env}
    return RequestKind(
        agent=spec.arms[arm].agent,
        per_request=PER_REQUEST in env.get(CONTROLS, ""),
        tools=spec.simulator.tool_turns > 0 and spec.arms[arm].agent == "reference",
    )


def kinds(specs: Iterable[ExperimentSpec]) -> tuple[RequestKind, ...]:
    """Return the kinds that the arms of some experiments have, each once."""
    return tuple(dict.fromkeys(kind_of(spec, arm) for spec in specs for arm in spec.arms))


def scale_for(spec: ExperimentSpec, calibration: Calibration) -> float:
    """Return the share of its rates at which an experiment leaves room on this machine, in each of its arms.

    All arms of an experiment get the same load, or they could not be compared.

    Returns:
        One of `SCALES`; 1.0 when its own rates fit, or nothing is known of what its requests cost.
    """
    room = min((_room(spec, arm, calibration) for arm in spec.arms), default=1.0)
    return next((scale for scale in SCALES if scale <= room), SCALES[-1])


def _room(spec: ExperimentSpec, arm: str, calibration: Calibration) -> float:
    """Return how many times the highest rate of an arm fits."""
    cost = calibration.cost(kind_of(spec, arm))
    load = spec.load_of(arm)
    rate_rps = max([load.rate_rps if load.duration_s else 0.0, *(phase.rate_rps for phase in load.phases)])
    if cost is None:
        return math.inf
    if load.ramp and spec.load.ramp and spec.load.ramp.utilisations:
        rate_rps = max(rate_rps, *load.ramp.rates_rps)
    fleet = spec.fleet_of(arm)
    starting = cost.start_s * (_kills_per_s(fleet) + _added_per_s(fleet, load))
    needed: list[tuple[float, float]] = [
        (calibration.all_s(cost) * rate_rps + starting, MACHINE_SHARE * calibration.free_cores),
        (STARTS_BESIDE_LOAD * starting / _most(fleet), STARTING_SHARE),
        (cost.agent_s * rate_rps / fleet.agents, CONTAINER_SHARE),
        (calibration.load_s * rate_rps, LOAD_SHARE),
    ]
    if load.ramp and load.ramp.agent_cpu_s and not spec.arms[arm].control:
        needed.append((cost.agent_s, load.ramp.agent_cpu_s))
    return min((share / need for need, share in needed if need > 0), default=math.inf)


def _kills_per_s(fleet: FleetSpec) -> float:
    """Return how many containers a second are killed under load, where that goes on."""
    kills = [event for event in fleet.events if event.action == "kill" and event.times > 1]
    return sum(1 / event.every_s for event in kills)


def _added_per_s(fleet: FleetSpec, load: LoadSpec) -> float:
    """Return how many containers a second an autoscaler may start, where all do in half of a phase."""
    shortest_s = min((phase.duration_s for phase in load.phases), default=load.duration_s)
    if fleet.autoscale is None or not shortest_s:
        return 0.0
    return max(1, fleet.autoscale.most - fleet.agents) / (shortest_s / 2)


def _most(fleet: FleetSpec) -> int:
    """Return how many containers there are when all that are added have come."""
    if fleet.autoscale is not None:
        return fleet.autoscale.most
    return fleet.agents + sum(event.times for event in fleet.events if event.action == "add")


def burst_share(spec: ExperimentSpec, calibration: Calibration) -> float:
    """Return the share of the first burst that the machine has done with by the next request.

    A burst that is more than the containers may work on is meant to be too much, and stays as it is.

    Returns:
        At most 1.0.
    """
    slots = spec.fleet.agents * spec.fleet.concurrency_limit
    costs = [cost for arm in spec.arms if (cost := calibration.cost(kind_of(spec, arm)))]
    if not spec.load.burst or not costs or spec.load.burst > slots:
        return 1.0
    takes_s = spec.load.burst * max(map(calibration.all_s, costs)) / calibration.free_cores
    return min(1.0, max(LEAST_QUIET_S, spec.load.quiet_s) / takes_s)


def scaled_by_hand(spec: ExperimentSpec, scale: float) -> ExperimentSpec:
    """Return an experiment at a share of its rates that somebody chose, its first burst included."""
    slots = spec.fleet.agents * spec.fleet.concurrency_limit
    return scaled(spec, scale, burst=1.0 if spec.load.burst > slots else min(1.0, scale))


def fitted(spec: ExperimentSpec, calibration: Calibration) -> ExperimentSpec:
    """Return an experiment as it is run on the machine of `calibration`."""
    first = next((arm for arm, each in spec.arms.items() if not each.control), next(iter(spec.arms)))
    cost = calibration.cost(kind_of(spec, first))
    overhead_s = max(spec.overhead_s, round(cost.overhead_s, 3)) if cost else spec.overhead_s
    known = spec.model_copy(update={"overhead_s": overhead_s})
    return _long_enough(scaled(known, scale_for(known, calibration), burst=burst_share(known, calibration)))


def _long_enough(spec: ExperimentSpec) -> ExperimentSpec:
    """Lengthen a load whose rate follows from the utilisation until each arm has what checks need."""
    if spec.load.utilisation is None or spec.load.duration_s <= 0:
        return spec
    rate_rps = min(spec.load_of(arm).rate_rps for arm in spec.arms)
    needed_s = min(planned_for(spec.min_requests) / rate_rps, LONGEST * spec.load.duration_s)
    longer = spec.load.model_copy(update={"duration_s": max(spec.load.duration_s, needed_s)})
    return spec.model_copy(update={"load": longer})
