"""What a request costs on a machine: the record, as a run's plan keeps it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.machine import free_cores
from harness.simulator_config import Strict

Measured = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Agent = Literal["reference", "yours"]


class RequestKind(Strict):
    """A way in which a request is worked on, as far as its cost goes.

    Attributes:
        agent: the reference agent, or the user's own.
        per_request: whether the clients are built for each request.
        tools: whether the model asks for a tool first.
    """

    agent: Agent = "reference"
    per_request: bool = False
    tools: bool = False


class Cost(Strict):
    """CPU seconds that one request of a kind costs.

    Attributes:
        kind: which.
        agent_s: in the container.
        model_s: in the simulator and the tool server.
        overhead_s: seconds that a request takes beside what its model calls are planned to take, the median.
        start_s: CPU seconds of a container until it is ready; 0 where they were not measured.
    """

    kind: RequestKind
    agent_s: Measured
    model_s: Measured
    overhead_s: Measured
    start_s: Measured = 0.0


class Calibration(Strict):
    """What this machine can do, as measured before a run.

    Attributes:
        cores: that the run may use, by affinity and quota.
        physical_cores: that it may be put on.
        others_cores: how many of those others kept busy meanwhile.
        costs: CPU seconds a request by kind.
        load_s: CPU seconds a request of the load, `capture_s` of the balancer and of what takes spans in.
        start_s: how long a fleet takes to start.
        took_s: how long all of this took.
    """

    cores: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    physical_cores: int
    others_cores: Measured
    costs: tuple[Cost, ...]
    load_s: Measured
    capture_s: Measured
    start_s: Measured
    took_s: Measured

    @property
    def free_cores(self) -> float:
        """How many cores the run gets beside others."""
        return free_cores(self.cores, self.others_cores, self.physical_cores)

    def cost(self, kind: RequestKind) -> Cost | None:
        """Return the cost of a kind, None when it was not measured."""
        return next((cost for cost in self.costs if cost.kind == kind), None)

    def all_s(self, cost: Cost) -> float:
        """Return the CPU seconds that one request costs all processes together."""
        return cost.agent_s + cost.model_s + self.load_s + self.capture_s


def describe(calibration: Calibration) -> str:
    """Say in a line what a request costs here, and what the machine has to give."""
    names = {
        (False, False): "the agent",
        (False, True): "with a tool call",
        (True, False): "with clients per request",
        (True, True): "with both",
    }
    agents = [
        f"{'your agent' if cost.kind.agent == 'yours' else names[cost.kind.per_request, cost.kind.tools]} "
        f"{1000 * cost.agent_s:.1f}"
        for cost in sorted(calibration.costs, key=lambda cost: cost.agent_s)
    ]
    model_s = max((cost.model_s for cost in calibration.costs), default=0.0)
    rest = f"the model {1000 * model_s:.1f}, the load {1000 * calibration.load_s:.1f}, "
    return (
        f"ms of CPU a request costs here: {', '.join(agents)}; {rest}balancer and capture "
        f"{1000 * calibration.capture_s:.1f}. {calibration.cores:g} cores, of which others use "
        f"{calibration.others_cores:.1f}"
    )
