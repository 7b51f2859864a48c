"""What a fleet is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.contract import PING, READYZ
from harness.fleet.policies import Picks
from harness.records.spec import AutoscaleSpec, EventSpec, Policy
from harness.records.weather import WeatherRule
from harness.simulator_config import SimulatorConfig
from harness.under_test import AgentUnderTest

START_DEADLINE_S = 180.0
"""There only to end what hangs: one that died is noticed at once, and a slow machine may take its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What is to run.

    Attributes:
        experiment, arm: what all telemetry is marked with.
        agents: how many containers.
        concurrency_limit: requests that each works on at once.
        policy: the balancers'; balancers: how many stand side by side.
        picks: how they pick a container in place of that policy's way, where an installed package says so.
        queue_limit: requests that may wait in a balancer's admission queue.
        retry_resets: whether a request is sent again whose container was lost while it worked.
        simulator: what the model API simulator is told.
        mcp_handshake_s: what a handshake with the tool server costs.
        env: added to the agents' environment.
        env_of: added to that of the first container, the second, and so on; none for those beyond it.
        events: what happens to the containers once the load began.
        autoscale: what decides how many containers there are by then, None for nothing.
        seed: which of them it happens to.
        work_dir: for the fleet's files; they stay, the folder belongs to the caller.
        log_dir: for what each process prints.
        forward_url: OTLP/HTTP receiver that gets a copy of all traces, None for nobody.
        agent_command: what starts an agent in place of the reference agent's own command.
        under_test: a user's own agent, in place of the reference agent.
        start_deadline_s: how long the agents may take to start; the other processes may 180 s.
        store: `sqlite`, or `redis` for a real one.
        restored: whether the containers will be restored as copies of one snapshot.
        weather: on the way to what they call.
        tool_servers: replicas of the tool server.
        run_id: of the run that it is for, empty for none.
    """

    experiment: str
    arm: str
    agents: int
    concurrency_limit: int
    policy: Policy
    queue_limit: int
    simulator: SimulatorConfig
    mcp_handshake_s: float
    env: Mapping[str, str]
    work_dir: Path
    log_dir: Path
    forward_url: str | None
    agent_command: tuple[str, ...] | None = None
    under_test: AgentUnderTest | None = None
    balancers: int = 1
    retry_resets: bool = False
    events: tuple[EventSpec, ...] = ()
    autoscale: AutoscaleSpec | None = None
    seed: int = 1
    env_of: tuple[Mapping[str, str], ...] = ()
    start_deadline_s: float = START_DEADLINE_S
    store: str = "sqlite"
    restored: bool = False
    weather: tuple[WeatherRule, ...] = ()
    tool_servers: int = 1
    run_id: str = ""
    picks: Picks | None = None

    @property
    def ready(self) -> str:
        """The path at which a container says that it is ready."""
        if self.under_test is not None:
            return self.under_test.ready
        return PING if self.agent_command else READYZ  # the AgentCore contract knows /ping alone

    @property
    def waits_for_the_first(self) -> bool:
        """Whether requests that come while there is no container are kept until there is one."""
        signalled = self.policy in {Policy.BUSY_503, Policy.BUSY_AWARE}
        return signalled and self.autoscale is not None and self.autoscale.least == 0
