"""The fleet of one arm: capture, simulator, tool server, agents and balancers, up and down as one."""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from harness.clock import Clock, SystemClock
from harness.contract import OTLP_HEADERS
from harness.errors import ChildDiedError, StartError
from harness.fleet import commands, envoy
from harness.fleet.autoscaler import Autoscaler
from harness.fleet.balancers import Balancers
from harness.fleet.commands import Command, FleetAddresses
from harness.fleet.local.containers import Containers, ExternalContainer
from harness.fleet.local.held import held
from harness.fleet.local.processes import Processes, grace_s
from harness.fleet.movement import Movement
from harness.fleet.plan import START_DEADLINE_S, FleetPlan
from harness.fleet.ports import HOST, Ports, socket_folder
from harness.fleet.readiness import ReadinessTarget, http_fetch, wait_ready
from harness.fleet.refusing_proxy import RefusingProxy
from harness.fleet.surroundings import (
    OTHER_TOOLS,
    SESSIONS,
    TOLD_TOOLS,
    Surroundings,
    more_tool_servers,
    told_tools,
)
from harness.fleet.waiting_room import WaitingRoom
from harness.machine import require_open_files
from harness.outside.http import PART_S, SOCKET, Part, control_client
from harness.process.child import KILL, STILL_S, Child
from harness.records.setup import Container, FleetEvent, Window
from harness.records.weather import Connection

POLL_S: Final = 0.05
HEALTHZ: Final = "/healthz"


class LocalFleet:
    """The processes of one arm, for the length of a `with` block.

    They end with the thread that entered it, whatever ends that. Where the agents are something else than
    processes, `_settle` and `_hands` say so.

    Args:
        plan: what is to run.
        clock: for waiting.
        on_phase: told what begins, for the person who waits.
        environ: the environment of which the children get a part; this process's by default.

    Attributes:
        urls, tools_url, capture_url: where the balancers, the tool server and the capture listen.
        simulator: the model API simulator, as it is told things.
        journal: what the simulator received.
        traces_raw, metrics_raw: what the capture received; complete once the block has ended.
    """

    urls: tuple[str, ...]
    simulator: Part
    tools_url: str
    capture_url: str

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
        self._forward_headers = environ.get(OTLP_HEADERS, "")
        self._processes = Processes(plan.log_dir, self._clock)
        self._movement: Movement
        self._actions: Containers
        self._around: Surroundings
        self._proxy = RefusingProxy()
        self._stack = ExitStack()
        self.journal = plan.work_dir / "journal.jsonl"
        self.traces_raw = plan.work_dir / "capture" / "traces.raw"
        self.metrics_raw = plan.work_dir / "capture" / "metrics.raw"

    def __enter__(self) -> Self:
        """Start everything, and return once all of it is ready.

        Raises:
            StartError: something did not get ready in time, a file cannot be written, or too few may be open.
            ChildDiedError: a process ended meanwhile. Nothing is left running in either case.
        """
        require_open_files()
        with ExitStack() as stack:
            ports = stack.enter_context(Ports())
            sockets = stack.enter_context(socket_folder())
            client = stack.enter_context(control_client(PART_S, sockets=sockets))
            self._start(stack, ports, client, sockets)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything in reverse, so that each has somebody to hand its last spans to.

        Raises:
            StartError: an error ends the block, and that a part has died or stands still tells more of why.
        """
        try:
            if isinstance(error, StartError) and not isinstance(error, ChildDiedError):
                self.check(still_s=0.0)
        finally:
            self._stack.__exit__(kind, error, trace)

    @property
    def containers(self) -> tuple[Container, ...]:
        """The agents that the balancers were told of, those that are gone included."""
        return self._movement.containers

    @property
    def image(self) -> str:
        """What all agents are made of, by its digest; empty of processes."""
        return ""

    @property
    def events(self) -> tuple[FleetEvent, ...]:
        """What was done to the agents, in order."""
        return self._movement.events

    @property
    def outside(self) -> Mapping[str, int]:
        """The hosts beside this machine that the agents asked for, and how often; they got none of them."""
        return self._proxy.tried

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections of the containers, where weather was asked for."""
        return self._around.connections

    @property
    def windows(self) -> tuple[Window, ...]:
        """The weather that there was."""
        return self._around.windows

    def store_bytes(self) -> float | None:
        """Return the size of the session store: of Redis as it tells, of a file as it is; None for none."""
        return self._around.store_bytes()

    def held(self) -> Mapping[str, Mapping[str, float]]:
        """Return what each container holds that is there: memory, descriptors, threads, connections."""
        return {name: held(pid) for name, pid in self._pids().items()}

    def _pids(self) -> dict[str, int]:
        """Return the process of each container that is there, and is one of ours."""
        if self._plan.under_test and self._plan.under_test.addresses:
            return {}
        there = {c.name: self._processes[c.name] for c in self.containers if c.left_s is None}
        pids = {name: each.pid for name, each in there.items() if isinstance(each, Child)}
        return {name: pid for name, pid in pids.items() if pid is not None}

    def log_of(self, container: str) -> tuple[Path, tuple[str, ...]]:
        """Return where a container's log is, and its last lines; none of one that somebody else started."""
        if self._plan.under_test and self._plan.under_test.addresses:
            return ExternalContainer.log, ()
        child = self._processes[container]
        return child.log, child.last_lines()

    def begin(self, start_s: float) -> None:
        """The load begins at the Unix time `start_s`: the plan's events count from it."""
        self._movement.begin(start_s)
        self._around.begin(start_s)

    def step(self) -> None:
        """Do what is due, and look whether all still run. To be called some ten times a second.

        Raises:
            ChildDiedError: one does not, and was not meant to end.
            StartError: one stands still; a container that was started does not get ready, or no balancer is
                told of it.
        """
        self.check()
        self._movement.step()
        self._around.step()

    def check(self, still_s: float = STILL_S) -> None:
        """Look whether all still run.

        Args:
            still_s: for how long one may stand still that was not meant to.

        Raises:
            ChildDiedError: one does not, and was not meant to end.
            StartError: one stands still.
        """
        self._processes.check(still_s)

    def usage(self) -> dict[str, tuple[float, float]]:
        """Return CPU seconds so far and resident MiB of each process, those that are gone included."""
        return self._processes.usage()

    def kill(self, name: str, number: signal.Signals = KILL) -> None:
        """Send a signal to a process as part of an experiment: `check` will not mind its death.

        Raises:
            InputError: there is no such process.
        """
        self._processes.kill(name, number)

    def renew(self) -> None:
        """Replace all agents by new ones, and return when these alone are up; none that runs elsewhere.

        What differs from one start of a program to the next (its memory's layout, what it loads when) is
        then seen as often as it is called.

        Raises:
            StartError: a new one does not get ready in time, or an old one does not end.
            ChildDiedError: a process of the fleet ended meanwhile.
        """
        if self._plan.under_test and self._plan.under_test.addresses:
            return
        leaving = self._movement.renew()
        deadline_s = self._clock.monotonic() + 2 * self._plan.start_deadline_s
        while not (self._movement.settled and all(map(self._actions.is_dead, leaving))):
            if self._clock.monotonic() > deadline_s:
                raise StartError(f"agents of {self._plan.arm} that were replaced do not end: see their logs")
            self.step()
            self._clock.sleep(POLL_S)
        for name in leaving:
            self._actions.forget(name)

    def restore(self) -> tuple[float, frozenset[str]]:
        """Let all agents stand still, hours pass, and the agents go on: as restored from a snapshot of now.

        Returns:
            When they went on, in Unix seconds; and those that have the start-up hook, and told so.

        Raises:
            StartError: the simulator does not take that its key is another one.
        """
        names = tuple(container.name for container in self.containers)
        for name in names:
            self._processes.freeze(name)
        try:
            self._around.age(self.simulator)
        finally:
            restored_s = self._clock.now()
            for name in names:
                self._processes.thaw(name)
        return restored_s, self._around.await_hooks(self.containers)

    @contextmanager
    def aside(self) -> Iterator[Container]:
        """Start one more container that no balancer is told of, for the length of a `with` block.

        Raises:
            StartError: it does not get ready in time.
            ChildDiedError: a process of the fleet ended meanwhile.
        """
        container = self._actions.start()
        begun_s = self._clock.monotonic()
        try:
            while not self._actions.is_ready(container, self._clock.monotonic() - begun_s):
                self.check()
                self._clock.sleep(POLL_S)
            yield self._actions.located(container)
        finally:
            self._actions.stop(container.name)

    # --- the start ---------------------------------------------------------------------
    def _start(self, stack: ExitStack, ports: Ports, client: httpx.Client, sockets: Path) -> None:
        plan, binary = self._plan, envoy.find_envoy()
        wiring = self._wiring(stack, ports)
        self.simulator = Part(url=wiring.url(wiring.simulator), token=wiring.token or None)
        self.tools_url = wiring.url(wiring.mcp)
        self.capture_url = wiring.url(wiring.capture)
        self._around = Surroundings(plan, wiring, ports=ports, clock=self._clock, pids=self._pids)
        room = stack.enter_context(WaitingRoom()) if plan.waits_for_the_first else None
        balancers = Balancers(self._balancer_plans(ports, wiring, sockets), plan.work_dir, client, room)
        self.urls = balancers.urls
        self._actions = self._hands(ports, balancers, client)
        told = self._around.told(plan.simulator)
        self._write_files({plan.work_dir / "simulator.json": told.model_dump(mode="json")})

        self._on_phase("the model API simulator, the tool server and the capture start")
        launch = self._processes.launch
        capture = launch(stack, self._capture(wiring))  # alone, so that it is stopped last
        others = launch(stack, self._model_and_tools(wiring))
        self._await([*capture, *others], client)
        stack.enter_context(self._around)
        self._on_phase(f"{plan.agents} {'agent starts' if plan.agents == 1 else 'agents start'}")
        first, targets = self._actions.launch(stack, plan.agents)
        self._movement = Movement(
            first,
            plan.events,
            seed=plan.seed,
            actions=self._actions,
            clock=self._clock,
            autoscaler=Autoscaler(plan.autoscale, _Gauges(self, balancers)) if plan.autoscale else None,
        )
        self._await(targets, client, plan.start_deadline_s)
        self._write_files(balancers.files(first))
        many = f"{plan.balancers} balancers start" if plan.balancers > 1 else "the balancer starts"
        self._on_phase(f"{many} ({plan.picks.name if plan.picks else plan.policy})")
        self._await(launch(stack, balancers.commands(wiring, binary)), client)
        stack.push(lambda kind, *_: balancers.hand_in(self._clock, grace_s(kind)))

    def _settle(self, stack: ExitStack) -> str:
        """Make the agents a place; return the address of this machine at which they find what they call."""
        del stack  # processes of this machine need none
        return HOST

    def _hands(self, ports: Ports, balancers: Balancers, client: httpx.Client) -> Containers:
        """Return what starts and ends the agents."""
        return Containers(
            self._plan,
            ports=ports,
            processes=self._processes,
            balancers=balancers,
            surroundings=self._around,
            client=client,
        )

    def _wiring(self, stack: ExitStack, ports: Ports) -> FleetAddresses:
        plan, host = self._plan, self._settle(stack)
        self._proxy = stack.enter_context(RefusingProxy(host))
        return FleetAddresses(
            experiment=plan.experiment,
            arm=plan.arm,
            capture=ports.reserve(host),
            simulator=(plan.under_test.simulator_port if plan.under_test else None) or ports.reserve(host),
            mcp=ports.reserve(host),
            replicas=tuple(ports.reserve(host) for _ in range(more_tool_servers(plan))),
            inherited=self._inherited,
            outside=self._proxy.port,
            host=host,
            token="" if host == HOST else secrets.token_urlsafe(16),
        )

    def _await(
        self, targets: Sequence[ReadinessTarget], client: httpx.Client, deadline_s: float = START_DEADLINE_S
    ) -> None:
        """Wait until some processes are ready: what is said of the agents' start is not said of others."""
        wait_ready(targets, deadline_s=deadline_s, clock=self._clock, fetch=http_fetch(client))

    def _capture(self, wiring: FleetAddresses) -> dict[str, tuple[Command, str]]:
        forward_url = self._plan.forward_url
        command = commands.capture(wiring, self.traces_raw.parent, forward_url, self._forward_headers)
        return {"capture": (command, wiring.url(wiring.capture) + HEALTHZ)}

    def _model_and_tools(self, wiring: FleetAddresses) -> dict[str, tuple[Command, str]]:
        plan = self._plan
        simulator = commands.simulator(wiring, plan.work_dir / "simulator.json", self.journal)
        return {"simulator": (simulator, wiring.url(wiring.simulator) + HEALTHZ), **self._tools(wiring)}

    def _tools(self, wiring: FleetAddresses) -> dict[str, tuple[Command, str]]:
        """Return the commands of the tool servers, the one with other tools last."""
        plan, files = self._plan, told_tools(self._plan)
        found = {}
        for number, port in enumerate((wiring.mcp, *wiring.replicas), start=1):
            name = "mcp-server" if number == 1 else f"mcp-server-{number}"
            file = OTHER_TOOLS if number > plan.tool_servers else TOLD_TOOLS
            command = commands.mcp_server(
                wiring,
                plan.mcp_handshake_s,
                port=port,
                number=number,
                tools=(plan.work_dir / file).absolute() if file in files else None,
            )
            found[name] = (command, wiring.url(port) + HEALTHZ)
        return found

    def _balancer_plans(
        self, ports: Ports, wiring: FleetAddresses, sockets: Path
    ) -> list[envoy.BalancerPlan]:
        plan = self._plan
        names = ["envoy", *(f"envoy-{number}" for number in range(2, plan.balancers + 1))]
        return [
            envoy.BalancerPlan(
                name=name,
                balancers=plan.balancers,
                policy=plan.policy,
                picks=plan.picks,
                retry_resets=plan.retry_resets,
                port=ports.reserve(),
                admin=sockets / f"{name}{SOCKET}",
                capture_port=wiring.capture,
                capture_host=wiring.host,
                agents=plan.agents,
                concurrency_limit=plan.concurrency_limit,
                queue_limit=plan.queue_limit,
                endpoints=plan.work_dir / "endpoints" / "agents.json",
                access_log=plan.log_dir / f"{name}-access.jsonl",
                ready=plan.ready,
            )
            for name in names
        ]

    def _write_files(self, files: Mapping[Path, Any]) -> None:
        """Write what simulator and balancers read."""
        try:
            self._plan.log_dir.mkdir(parents=True, exist_ok=True)
            (self._plan.work_dir / SESSIONS).parent.mkdir(parents=True, exist_ok=True)
            for name, text in told_tools(self._plan).items():
                (self._plan.work_dir / name).write_text(text, "utf-8")
            for path, content in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(content, indent=1), "utf-8")
        except OSError as error:
            raise StartError(f"{error.filename}: cannot be written to: {error.strerror}") from error


class _Gauges:
    """What an autoscaler sees: the balancers' own count, and CPU time as who runs the agents counts it."""

    def __init__(self, fleet: LocalFleet, balancers: Balancers) -> None:
        self._fleet = fleet
        self._balancers = balancers

    def requests(self) -> tuple[int, int]:
        """Return the requests that the balancers have, and how many ever came to them."""
        return self._balancers.requests()

    def cpu_s(self) -> Mapping[str, float]:
        """Return CPU seconds so far of each part."""
        return {name: cpu_s for name, (cpu_s, _) in self._fleet.usage().items()}
