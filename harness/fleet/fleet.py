"""The fleet of one arm: capture, simulator, tool server, agents and Envoy, up and down as one."""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import httpx

from harness.child import Child
from harness.clock import Clock, SystemClock
from harness.contract import PING, READYZ
from harness.errors import ChildDiedError, InputError, StartError
from harness.experiment.spec import EventSpec, Policy
from harness.fleet import commands, envoy
from harness.fleet.commands import Command, Wiring
from harness.fleet.ports import HOST, Ports
from harness.fleet.readiness import Target, http_fetch, wait_ready
from harness.records import Container, FleetEvent
from harness.simulation import SimulatorConfig

GRACE_S: Final = 5.0
"""How long a process may take to end: an agent hands in its last spans meanwhile."""
BALANCER_FLUSH_S: Final = 2.5 * envoy.SPAN_FLUSH_MS / 1000
"""Envoy drops the spans it holds when it is stopped: it gets the time to send them before."""
HEALTHZ: Final = "/healthz"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """What is to run.

    Attributes:
        experiment, arm: what all telemetry is marked with.
        agents: how many containers.
        concurrency_limit: requests that each works on at once.
        policy: the balancers'; balancers: how many stand side by side.
        queue_limit: requests that may wait in a balancer's gate.
        retry_resets: whether a request is sent again whose container was lost while it worked.
        simulator: what the model API simulator is told.
        mcp_handshake_s: what a handshake with the tool server costs.
        env: added to the agents' environment.
        events: what happens to the containers once the load began.
        seed: which of them it happens to.
        work_dir: for the fleet's files; they stay, the folder belongs to the caller.
        log_dir: for what each process prints.
        forward_url: OTLP/HTTP receiver that gets a copy of all traces, None for nobody.
        agent_command: what starts an agent, None for the reference agent.
        start_deadline_s: how long each step of the start may take.
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
    balancers: int = 1
    retry_resets: bool = False
    events: tuple[EventSpec, ...] = ()
    seed: int = 1
    start_deadline_s: float = 60.0


class Fleet:
    """The processes of one arm, for the length of a `with` block.

    They end with the thread that entered it, whatever ends that.

    Args:
        plan: what is to run.
        clock: for waiting.
        on_phase: told what begins, for the person who waits.
        environ: the environment of which the children get a part; this process's by default.

    Attributes:
        urls, simulator_url, capture_url: where the balancers, the simulator and the capture listen.
        containers: the agents, those that are gone included.
        events: what was done to them.
        journal: what the simulator received.
        traces_raw, metrics_raw: what the capture received; complete once the block has ended.
    """

    urls: tuple[str, ...]
    simulator_url: str
    capture_url: str
    containers: tuple[Container, ...]
    events: tuple[FleetEvent, ...] = ()

    def __init__(
        self,
        plan: FleetPlan,
        *,
        clock: Clock | None = None,
        on_phase: Callable[[str], None] = lambda _: None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._plan = plan
        self._clock = clock or SystemClock()
        self._on_phase = on_phase
        self._inherited = commands.inherit(environ)
        self._children: dict[str, Child] = {}
        self._killed: set[str] = set()
        self._stack = ExitStack()
        self.journal = plan.work_dir / "journal.jsonl"
        self.traces_raw = plan.work_dir / "capture" / "traces.raw"
        self.metrics_raw = plan.work_dir / "capture" / "metrics.raw"

    def __enter__(self) -> Self:
        """Start everything, and return once all of it is ready.

        Raises:
            StartError: something did not get ready in time, or a file cannot be written.
            ChildDiedError: a process ended meanwhile. Nothing is left running in either case.
        """
        with ExitStack() as stack:
            ports = stack.enter_context(Ports())
            client = stack.enter_context(httpx.Client(trust_env=False))
            self._start(stack, ports, client)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything in reverse, so that each has somebody to hand its last spans to."""
        self._stack.close()

    def begin(self, start_s: float) -> None:
        """The load begins at the Unix time `start_s`: the plan's events count from it."""

    def step(self) -> None:
        """Do what is due, and look whether all still run.

        Raises:
            ChildDiedError: one does not, and no event has anything to do with it.
        """
        self.check()

    def check(self) -> None:
        """Look whether all still run.

        Raises:
            ChildDiedError: one does not, and `kill` has nothing to do with it.
        """
        for name, child in self._children.items():
            if name not in self._killed and (death := child.poll()):
                raise ChildDiedError(death)

    def usage(self) -> dict[str, tuple[float, float]]:
        """Return CPU seconds so far and resident MiB of each process with those it started."""
        return {name: child.usage() for name, child in self._children.items()}

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a process as part of an experiment: `check` will not mind its death.

        Raises:
            InputError: there is no such process.
        """
        if name not in self._children:
            raise InputError(f"{name}: no such process in this fleet; there are {', '.join(self._children)}")
        self._killed.add(name)
        self._children[name].send(number)

    # --- the start ---------------------------------------------------------------------
    def _start(self, stack: ExitStack, ports: Ports, client: httpx.Client) -> None:
        plan = self._plan
        wiring = Wiring(
            experiment=plan.experiment,
            arm=plan.arm,
            capture=ports.reserve(),
            simulator=ports.reserve(),
            mcp=ports.reserve(),
            inherited=self._inherited,
        )
        addresses = tuple((HOST, ports.reserve()) for _ in range(plan.agents))
        balancer = self._balancer_plan(ports, wiring)
        self.urls = (_url(balancer.port),)
        self.simulator_url = _url(wiring.simulator)
        self.capture_url = _url(wiring.capture)
        self.containers = tuple(
            Container(name=f"agent-{number}", address=f"{host}:{port}")
            for number, (host, port) in enumerate(addresses, start=1)
        )
        binary = envoy.find_envoy()
        config = self._write_files(balancer, addresses)

        self._on_phase("the model API simulator, the tool server and the capture start")
        capture = self._launch(stack, self._capture(wiring))  # alone, so that it is stopped last
        self._await([*capture, *self._launch(stack, self._model_and_tools(wiring))], client)
        self._on_phase(f"{plan.agents} {'agent starts' if plan.agents == 1 else 'agents start'}")
        self._await(self._launch(stack, self._agents(wiring)), client)
        self._on_phase(f"the balancer starts ({plan.policy})")
        ready = f"{_url(balancer.admin_port)}/ready"
        self._await(self._launch(stack, {"envoy": (commands.envoy(wiring, binary, config), ready)}), client)
        stack.callback(self._clock.sleep, BALANCER_FLUSH_S)

    def _launch(self, stack: ExitStack, group: Mapping[str, tuple[Command, str]]) -> list[Target]:
        """Start processes side by side; `stack` will stop them together."""
        children = [
            Child(name, command.argv, command.env, self._plan.log_dir, self._clock)
            for name, (command, _) in group.items()
        ]
        stack.callback(_stop_together, children)
        for child in children:
            self._children[child.name] = child
            child.start()
        return [Target(child, group[child.name][1]) for child in children]

    def _await(self, targets: Sequence[Target], client: httpx.Client) -> None:
        deadline_s = self._plan.start_deadline_s
        wait_ready(targets, deadline_s=deadline_s, clock=self._clock, fetch=http_fetch(client))

    def _capture(self, wiring: Wiring) -> dict[str, tuple[Command, str]]:
        command = commands.capture(wiring, self.traces_raw.parent, self._plan.forward_url)
        return {"capture": (command, _url(wiring.capture) + HEALTHZ)}

    def _model_and_tools(self, wiring: Wiring) -> dict[str, tuple[Command, str]]:
        plan = self._plan
        simulator = commands.simulator(wiring, plan.work_dir / "simulator.json", self.journal)
        mcp_server = commands.mcp_server(wiring, plan.mcp_handshake_s)
        return {
            "simulator": (simulator, _url(wiring.simulator) + HEALTHZ),
            "mcp-server": (mcp_server, _url(wiring.mcp) + HEALTHZ),
        }

    def _agents(self, wiring: Wiring) -> dict[str, tuple[Command, str]]:
        plan = self._plan
        ready = PING if plan.agent_command else READYZ  # the AgentCore contract knows /ping alone
        api_key = f"sk-{secrets.token_hex(16)}"
        group: dict[str, tuple[Command, str]] = {}
        for container in self.containers:
            command = commands.agent(
                wiring,
                name=container.name,
                port=int(container.address.rpartition(":")[2]),
                api_key=api_key,
                sessions=plan.work_dir / "sessions.db",
                concurrency_limit=plan.concurrency_limit,
                env=plan.env,
                argv=plan.agent_command,
            )
            group[container.name] = (command, f"http://{container.address}{ready}")
        return group

    def _balancer_plan(self, ports: Ports, wiring: Wiring) -> envoy.BalancerPlan:
        plan = self._plan
        return envoy.BalancerPlan(
            policy=plan.policy,
            port=ports.reserve(),
            admin_port=ports.reserve(),
            capture_port=wiring.capture,
            agents=plan.agents,
            concurrency_limit=plan.concurrency_limit,
            queue_limit=plan.queue_limit,
            endpoints=plan.work_dir / "endpoints" / "agents.json",
            access_log=plan.log_dir / "envoy-access.jsonl",
        )

    def _write_files(self, balancer: envoy.BalancerPlan, addresses: tuple[tuple[str, int], ...]) -> Path:
        """Write what simulator and balancer read; return the balancer's configuration file."""
        config = self._plan.work_dir / "envoy.json"
        files: dict[Path, Any] = {
            balancer.endpoints: envoy.endpoints(addresses),
            config: envoy.bootstrap(balancer),
            self._plan.work_dir / "simulator.json": self._plan.simulator.model_dump(mode="json"),
        }
        try:
            self._plan.log_dir.mkdir(parents=True, exist_ok=True)
            for path, content in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(content, indent=1), "utf-8")
        except OSError as error:
            raise StartError(f"{error.filename}: cannot be written to: {error.strerror}") from error
        return config


def _stop_together(children: Sequence[Child]) -> None:
    with ExitStack() as stack:
        for child in children:
            stack.callback(child.stop, GRACE_S)
        for child in children:
            child.ask_to_stop()


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"
