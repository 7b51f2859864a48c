"""The fleet: every process of one arm, started in order and stopped in reverse."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx

from harness.child import Child, stop_all, wait_ready
from harness.clock import Clock
from harness.experiment.spec import Policy
from harness.fleet import commands, envoy
from harness.fleet.commands import Addresses, Command
from harness.fleet.ports import HOST, free_ports
from harness.records import Container
from harness.simulation import SimulatorConfig

FLUSH_S = 8.0
"""How long a process may take to end: long enough to hand in its last spans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What a fleet is made of.

    Attributes:
        experiment, arm: labels on its telemetry.
        agents: how many containers.
        concurrency_limit: requests that one works on at once.
        policy: the balancer's.
        queue_limit: requests that may wait in the balancer.
        simulator: what the model API simulator is told.
        mcp_handshake_s: how long the tool server takes to open a session.
        env: added to the agents' environment.
        work_dir: for scratch files; the caller removes it.
        log_dir: for logs, which stay.
        forward_url: OTLP/HTTP base address that gets a copy of all telemetry.
        agent_command: what starts an agent; None for the reference agent.
        start_deadline_s: how long one process may take to be ready.
    """

    experiment: str
    arm: str
    agents: int
    concurrency_limit: int
    policy: Policy
    queue_limit: int
    simulator: SimulatorConfig
    mcp_handshake_s: float
    work_dir: Path
    log_dir: Path
    env: Mapping[str, str] = field(default_factory=dict)
    forward_url: str | None = None
    agent_command: tuple[str, ...] | None = None
    start_deadline_s: float = 60.0


class Fleet:
    """A running fleet, as a context manager.

    Args:
        plan: what it is made of.
        clock: waits for readiness.
        on_phase: told what begins.

    Raises (on entering):
        StartError: a process could not be started, or was not ready in time.
        ChildDiedError: a process ended while it started.
    """

    def __init__(
        self, plan: FleetPlan, *, clock: Clock, on_phase: Callable[[str], None] = lambda _: None
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._on_phase = on_phase
        self._children: dict[str, Child] = {}
        self._stack = ExitStack()
        work = plan.work_dir.resolve()
        self.journal = work / "journal.jsonl"
        self.traces_raw = work / "traces.raw"
        self.metrics_raw = work / "metrics.raw"
        self._work = work

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._http = stack.enter_context(httpx.Client(timeout=2.0, trust_env=False))
            stack.callback(self._stop)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The balancer's address."""
        return f"http://{HOST}:{self._at.balancer}"

    @property
    def simulator_url(self) -> str:
        """The simulator's address."""
        return f"http://{HOST}:{self._at.simulator}"

    @property
    def capture_url(self) -> str:
        """The capture's address: an OTLP/HTTP receiver."""
        return f"http://{HOST}:{self._at.capture}"

    @property
    def containers(self) -> tuple[Container, ...]:
        """The agents."""
        return tuple(
            Container(name=f"agent-{number}", address=f"{HOST}:{port}")
            for number, port in enumerate(self._at.agents, start=1)
        )

    def check(self) -> None:
        """Raise ChildDiedError when a process has ended."""
        for child in self._children.values():
            child.check()

    def usage(self) -> dict[str, tuple[float, float]]:
        """Return CPU seconds so far and resident MiB of each process."""
        return {name: child.usage() for name, child in self._children.items()}

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one process, as an experiment with failures does."""
        self._children[name].signal(number)

    # --- start and stop ----------------------------------------------------------------
    def _start(self) -> None:
        plan = self._plan
        ports = free_ports(5 + plan.agents)
        self._at = Addresses(
            capture=ports[0],
            simulator=ports[1],
            mcp=ports[2],
            balancer=ports[3],
            admin=ports[4],
            agents=ports[5:],
        )
        binary = envoy.find_envoy()
        self._on_phase("capture, simulator and tool server start")
        support = self._support()
        for command in support[:1]:  # the others send it their spans from the first moment on
            self._launch(command)
            self._await(command)
        for command in support[1:]:
            self._launch(command)
        self._on_phase(f"{plan.agents} agents start")
        agents = [self._agent(number) for number in range(1, plan.agents + 1)]
        for command in agents:
            self._launch(command)
        for command in (*support[1:], *agents):
            self._await(command)
        self._on_phase("the balancer starts")
        balancer = self._balancer(binary)
        self._launch(balancer)
        self._await(balancer)

    def _stop(self) -> None:
        """Stop in reverse, so that each can still hand its last spans to the next."""
        order = list(self._children)
        agents = [name for name in order if name.startswith("agent-")]
        for group in (["envoy"], agents, ["mcp-server", "simulator"], ["capture"]):
            stop_all([self._children[name] for name in group if name in self._children], FLUSH_S)

    def _launch(self, command: Command) -> None:
        env = commands.inherited(os.environ) | dict(command.env)
        log = self._plan.log_dir / f"{command.name}.log"
        self._children[command.name] = Child(command.name, command.argv, env, log, clock=self._clock)

    def _await(self, command: Command) -> None:
        wait_ready(
            self._children[command.name],
            lambda: self._answers(command.ready_url),
            what=command.ready_url,
            deadline_s=self._plan.start_deadline_s,
            clock=self._clock,
        )

    def _answers(self, url: str) -> bool:
        try:
            return self._http.get(url).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    # --- what is started ---------------------------------------------------------------
    def _support(self) -> tuple[Command, ...]:
        plan, labels = self._plan, (self._plan.experiment, self._plan.arm)
        config = self._work / "simulator.json"
        config.write_text(plan.simulator.model_dump_json(), "utf-8")
        return (
            commands.capture(self._at, self._work, plan.forward_url),
            commands.simulator(self._at, config, self.journal, *labels),
            commands.mcp_server(self._at, plan.mcp_handshake_s, *labels),
        )

    def _agent(self, number: int) -> Command:
        plan = self._plan
        return commands.agent(
            self._at,
            number,
            argv=plan.agent_command or commands.REFERENCE_AGENT,
            experiment=plan.experiment,
            arm=plan.arm,
            concurrency_limit=plan.concurrency_limit,
            store=self._work / "sessions.db",
            env=plan.env,
        )

    def _balancer(self, binary: Path) -> Command:
        plan = self._plan
        members = self._work / "envoy" / "agents.json"
        members.parent.mkdir(exist_ok=True)
        envoy.write_endpoints(members, plan.policy, self._at.agents)
        config = self._work / "envoy.json"
        bootstrap = envoy.bootstrap(
            envoy.BalancerPlan(
                policy=plan.policy,
                port=self._at.balancer,
                admin_port=self._at.admin,
                capture_port=self._at.capture,
                slots=plan.agents * plan.concurrency_limit,
                queue_limit=plan.queue_limit,
                endpoints=members,
                access_log=plan.log_dir.resolve() / "access.log",
            )
        )
        config.write_text(json.dumps(bootstrap, indent=1), "utf-8")
        return commands.envoy(self._at, binary, config)
