"""Fits the experiments for an own agent to it: its limit, its promises, and what can't be done with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from harness.asking.request import carries_session
from harness.own.config import LimitsTable
from harness.records.spec import ArmSpec, CheckSpec, ExperimentSpec, FleetSpec, PhaseSpec
from harness.under_test import AgentUnderTest

OVERFULL = 2
"""A burst that is to be too much is so many times what the containers may work on."""
YOURS = "your agent"
TTFT = "ttft"
"""The check of the time to the first token: it is made where one was promised."""
MOST_AT_ONCE = 200
"""Requests of a burst: more would measure this machine."""


def fit(
    specs: Iterable[ExperimentSpec], agent: AgentUnderTest, limits: LimitsTable
) -> tuple[list[ExperimentSpec], list[str]]:
    """Fit experiments to an agent.

    Returns:
        The experiments, and a sentence for each thing that is left out, or taken though nobody gave it.
    """
    fitted: list[ExperimentSpec] = []
    notes: list[str] = []
    for spec in specs:
        own, left_out = _fit(spec, agent, limits)
        notes += left_out
        if own is not None:
            fitted.append(own)
    return fitted, [*_unstated(fitted, limits), *notes]


def _fit(
    spec: ExperimentSpec, agent: AgentUnderTest, limits: LimitsTable
) -> tuple[ExperimentSpec | None, Sequence[str]]:
    if all(arm.agent == "reference" for arm in spec.arms.values()):
        return spec, []
    spec = _named(spec, agent.name)
    overfills = spec.load.burst > spec.fleet.agents * spec.fleet.concurrency_limit
    if agent.addresses and agent.simulator_port is None and (spec.simulator.faults or overfills):
        todo = "Give simulator_port, and start them with their model's address there"
        return None, [f"{spec.name} is left out: the containers run already and know no simulator. {todo}."]
    if (obstacle := _obstacle(spec, agent)) is not None:
        return None, [f"{spec.name} is left out: {obstacle}."]
    notes = []
    fleet = spec.fleet.model_copy(update={"concurrency_limit": agent.concurrency_limit})
    if agent.addresses:
        fleet = fleet.model_copy(update={"agents": len(agent.addresses)})
    load = spec.load
    if overfills:
        load = load.model_copy(update={"burst": OVERFULL * fleet.agents * fleet.concurrency_limit})
    if load.leave_share:
        load = load.model_copy(update={"phases": _filling(load.phases, fleet)})
    if max(load.burst, *(phase.burst for phase in load.phases), 0) > MOST_AT_ONCE:
        slots = f"{fleet.agents} containers of {fleet.concurrency_limit} slots"
        return None, [f"{spec.name} is left out: {slots} are too many to overfill."]
    if spec.fleet.events and not agent.killable:
        fleet = fleet.model_copy(update={"events": ()})
        notes.append(f"{spec.name}: no container is killed: only those that `command` starts can be.")
    arms = {name: _of_limit(arm, agent.concurrency_limit) for name, arm in spec.arms.items()}
    checks = tuple(
        check.model_copy(update=_limit(spec, check, limits))
        for check in spec.checks
        if check.id != TTFT or limits.ttft_ms is not None
    )
    return spec.model_copy(update={"fleet": fleet, "load": load, "arms": arms, "checks": checks}), notes


def _of_limit(arm: ArmSpec, limit: int) -> ArmSpec:
    """Give an arm whose containers take so many at the least what those of the agent take."""
    if arm.concurrency_limit is None:
        return arm
    return arm.model_copy(update={"concurrency_limit": max(arm.concurrency_limit, limit)})


def _filling(phases: Iterable[PhaseSpec], fleet: FleetSpec) -> tuple[PhaseSpec, ...]:
    """Let the bursts of phases ask for each slot there is: a single one that is lost is one too few."""
    slots = fleet.agents * fleet.concurrency_limit
    return tuple(
        phase.model_copy(update={"burst": max(phase.burst, slots)}) if phase.burst else phase
        for phase in phases
    )


def _obstacle(spec: ExperimentSpec, agent: AgentUnderTest) -> str | None:
    """Say what of an experiment can't be done with an agent, and what would let it; None for nothing."""
    if spec.load.leave_share and not agent.request.stream:
        return "nobody can leave in the middle of one piece. Set request.stream, where it can stream"
    if spec.load.turns > 1 and not carries_session(agent.request):
        todo = "Give session_header, or {session} in the request, where it has any"
        return f"the agent is told of no session. {todo}"
    if spec.fleet.restored and not agent.killable:
        return "only containers that `command` starts can be restored"
    if any(spec.fleet_of(arm).autoscale for arm in spec.arms) and not agent.killable:
        return "only containers that `command` starts can be more, or fewer"
    if spec.fleet.store == "redis" and not agent.names_store:
        return "the agent is told of no session store. Put {store}, the address of a Redis, where it has it"
    return _obstacle_of_weather(spec, agent)


def _obstacle_of_weather(spec: ExperimentSpec, agent: AgentUnderTest) -> str | None:
    weather = [
        rule
        for name, arm in spec.arms.items()
        if arm.agent == "yours"
        for rule in spec.fleet_of(name).weather
    ]
    if weather and agent.addresses:
        return "the containers run already, and nothing passes on what they send: no weather befalls them"
    if any(rule.target == "container" for rule in weather) and not agent.killable:
        return "only containers that `command` starts can be short of file descriptors"
    return None


def _unstated(specs: Iterable[ExperimentSpec], limits: LimitsTable) -> Iterator[str]:
    """Yield a sentence for each promise that nobody made, and that an arm of theirs is held against."""
    asked = {
        check.id
        for spec in specs
        for check in spec.checks
        if any(spec.arms[arm].agent == "yours" for arm in check.holds_in)
    }
    for check, name in (("p99", "p99_ms"), ("attempts-bounded", "attempts")):
        if check in asked and name not in limits.model_fields_set:
            value = f"{getattr(limits, name):g}"
            yield (
                f"[limits] {name} is not in agentrig.toml: {value} is taken, which is ours and nobody's "
                "promise."
            )


def _named(spec: ExperimentSpec, name: str) -> ExperimentSpec:
    """Call the agent by its name where ours say `your agent`."""
    arms = {
        each: arm.model_copy(update={"title": name}) if arm.title == YOURS else arm
        for each, arm in spec.arms.items()
    }
    title = spec.title.replace(YOURS.capitalize(), name, 1)
    return spec.model_copy(update={"arms": arms, "title": title})


def _limit(spec: ExperimentSpec, check: CheckSpec, limits: LimitsTable) -> dict[str, float]:
    """Return what was promised, for a check of the user's own agent; a control breaks a limit of ours."""
    promised = {
        "p99": limits.p99_ms,
        TTFT: limits.ttft_ms or 0.0,
        "no-errors": limits.error_ratio,
        "errors-explained": limits.error_ratio,
        "attempts-bounded": float(limits.attempts),
    }
    own = any(spec.arms[arm].agent == "yours" for arm in check.holds_in)
    return {"limit": promised[check.id]} if own and check.id in promised else {}
