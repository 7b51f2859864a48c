"""What both sides of the gate are asked: a fleet, a model API and a rate; arrivals follow from the pair."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Self

from pydantic import Field, ValidationError

from harness.errors import InputError
from harness.outside.text import parse_toml
from harness.records.spec import ExperimentSpec, FleetSpec, LoadSpec, Name
from harness.simulator_config import SimulatorConfig, Strict

STEADY = "steady"
SPARE = 1.5
"""Of 340 arrivals and more, a Poisson process has two thirds of its mean as good as always."""


class ScenarioLoad(Strict):
    """How many requests a second arrive, and after how long one is given up."""

    rate_rps: Annotated[float, Field(gt=0, le=1000)]
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    turns: Annotated[int, Field(ge=1)] = 1


class GateScenario(Strict):
    """One scenario."""

    name: Name
    fleet: FleetSpec = FleetSpec()
    simulator: SimulatorConfig = SimulatorConfig()
    load: ScenarioLoad

    @classmethod
    def of(cls, spec: ExperimentSpec) -> Self:
        """Make a scenario of the steady part of an experiment, with the fleet of its first arm under test.

        Raises:
            InputError: it has no steady part.
        """
        arm = next((name for name, arm in spec.arms.items() if not arm.control), None)
        load = spec.load_of(arm) if arm else spec.load
        if arm is None or not load.rate_rps:
            raise InputError(f"{spec.name}: has no arm under test with a steady rate: the gate can't use it.")
        # Faults and events with a time belong to a run of a known length, which a block is not. Blocks are
        # compared on as many containers.
        faults = tuple(rule for rule in spec.simulator.faults if rule.window_s is None)
        return cls(
            name=spec.name,
            fleet=spec.fleet_of(arm).model_copy(update={"events": (), "autoscale": None}),
            simulator=spec.simulator.model_copy(update={"faults": faults}),
            load=ScenarioLoad(rate_rps=load.rate_rps, timeout_s=load.timeout_s, turns=load.turns),
        )

    def at(self, rate_rps: float) -> GateScenario:
        """Return it with another rate."""
        return self.model_copy(update={"load": self.load.model_copy(update={"rate_rps": rate_rps})})

    def block(self, requests: int) -> LoadSpec:
        """Return a load that has so many requests, and some to spare: arrivals are drawn, the rest is cut."""
        load = self.load
        return LoadSpec(
            rate_rps=load.rate_rps,
            duration_s=SPARE * requests / load.rate_rps,
            turns=load.turns,
            timeout_s=load.timeout_s,
        )


def steady() -> GateScenario:
    """Return the scenario that comes with the gate."""
    text = resources.files("harness.gate").joinpath("scenarios", f"{STEADY}.toml").read_text("utf-8")
    return parse(text, f"{STEADY}.toml")


def parse(text: str, source: str) -> GateScenario:
    """Make a scenario of TOML text.

    Raises:
        InputError: it is not valid; names the key.
    """
    try:
        return GateScenario.model_validate(parse_toml(text, source))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{source}: {key or 'whole file'}: {first['msg']}") from error
