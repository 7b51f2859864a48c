"""Fits the experiments for an own agent to it: its limit, its promises, and what can't be done with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.own.config import LimitsTable
from harness.records.spec import CheckSpec, ExperimentSpec
from harness.under_test import AgentUnderTest

OVERFULL = 2
"""A burst that is to be too much is so many times what the containers may work on."""
TTFT = "ttft"
"""The check of the time to the first token: it is made where one was promised."""
MOST_AT_ONCE = 200
"""Requests of a burst: more would measure this machine."""


def fit(
    specs: Iterable[ExperimentSpec], agent: AgentUnderTest, limits: LimitsTable
) -> tuple[list[ExperimentSpec], list[str]]:
    """Fit experiments to an agent.

    Returns:
        The experiments, and a sentence for each thing that is left out.
    """
    fitted: list[ExperimentSpec] = []
    notes: list[str] = []
    for spec in specs:
        own, left_out = _fit(spec, agent, limits)
        notes += left_out
        if own is not None:
            fitted.append(own)
    return fitted, notes


def _fit(
    spec: ExperimentSpec, agent: AgentUnderTest, limits: LimitsTable
) -> tuple[ExperimentSpec | None, Sequence[str]]:
    if all(arm.agent == "reference" for arm in spec.arms.values()):
        return spec, []
    overfills = spec.load.burst > spec.fleet.agents * spec.fleet.concurrency_limit
    if agent.addresses and agent.simulator_port is None and (spec.simulator.faults or overfills):
        todo = "Give simulator_port, and start them with their model's address there"
        return None, [f"{spec.name} is left out: the containers run already and know no simulator. {todo}."]
    notes = []
    fleet = spec.fleet.model_copy(update={"concurrency_limit": agent.concurrency_limit})
    if agent.addresses:
        fleet = fleet.model_copy(update={"agents": len(agent.addresses)})
    load = spec.load
    if overfills:
        load = load.model_copy(update={"burst": OVERFULL * fleet.agents * fleet.concurrency_limit})
    if load.burst > MOST_AT_ONCE:
        slots = f"{fleet.agents} containers of {fleet.concurrency_limit} slots"
        return None, [f"{spec.name} is left out: {slots} are too many to overfill."]
    if spec.fleet.events and not agent.killable:
        fleet = fleet.model_copy(update={"events": ()})
        notes.append(f"{spec.name}: no container is killed: only those that `command` starts can be.")
    checks = tuple(
        check.model_copy(update=_limit(check, limits))
        for check in spec.checks
        if check.id != TTFT or limits.ttft_ms is not None
    )
    return spec.model_copy(update={"fleet": fleet, "load": load, "checks": checks}), notes


def _limit(check: CheckSpec, limits: LimitsTable) -> dict[str, float]:
    promised = {
        "p99": limits.p99_ms,
        TTFT: limits.ttft_ms or 0.0,
        "no-errors": limits.error_ratio,
        "errors-explained": limits.error_ratio,
        "attempts-bounded": float(limits.attempts),
    }
    return {"limit": promised[check.id]} if check.id in promised else {}
