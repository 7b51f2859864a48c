"""The fleet of one arm: capture, simulator, tool server, agents and balancers, up and down as one."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from harness.clock import Clock, SystemClock
from harness.contract import OTLP_HEADERS
from harness.errors import StartError
from harness.fleet import commands, envoy
from harness.fleet.balancers import Balancers
from harness.fleet.commands import Command, FleetAddresses
from harness.fleet.containers import Containers, ExternalContainer
from harness.fleet.held import held
from harness.fleet.movement import Movement
from harness.fleet.plan import FleetPlan
from harness.fleet.ports import HOST, Ports, socket_folder
from harness.fleet.processes import Processes, grace_s
from harness.fleet.readiness import ReadinessTarget, http_fetch, wait_ready
from harness.fleet.refusing_proxy import RefusingProxy
from harness.fleet.surroundings import Surroundings
from harness.machine import require_open_files
from harness.outside.http import PART_S, SOCKET, control_client
from harness.process.child import KILL
from harness.records.setup import Container, FleetEvent, Window
from harness.records.weather import Connection

POLL_S: Final = 0.05
HEALTHZ: Final = "/healthz"


class Fleet:
    """The processes of one arm, for the length of a `with` block.

    They end with the thread that entered it, whatever ends that.

    Args:
        plan: what is to run.
        clock: for waiting.
        on_phase: told what begins, for the person who waits.
        environ: the environment of which the children get a part; this process's by default.

    Attributes:
        urls, simulator_url, tools_url, capture_url: where the balancers, the simulator, the tool server and
            the capture listen.
        journal: what the simulator received.
        traces_raw, metrics_raw: what the capture received; complete once the block has ended.
    """

    urls: tuple[str, ...]
    simulator_url: str
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
        """Stop everything in reverse, so that each has somebody to hand its last spans to."""
        self._stack.__exit__(kind, error, trace)

    @property
    def containers(self) -> tuple[Container, ...]:
        """The agents that the balancers were told of, those that are gone included."""
        return self._movement.containers

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
        if self._plan.under_test and self._plan.under_test.addresses:
            return {}
        pids = {c.name: self._processes[c.name].pid for c in self.containers if c.left_s is None}
        return {name: held(pid) for name, pid in pids.items() if pid is not None}

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
            StartError: a container that was started does not get ready, or a balancer is not told of it.
        """
        self.check()
        self._movement.step()
        self._around.step()

    def check(self) -> None:
        """Look whether all still run.

        Raises:
            ChildDiedError: one does not, and was not meant to end.
        """
        self._processes.check()

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
            self._processes[name].send(signal.SIGSTOP)
        try:
            self._around.age(self.simulator_url)
        finally:
            restored_s = self._clock.now()
            for name in names:
                self._processes[name].send(signal.SIGCONT)
        return restored_s, self._around.await_hooks(names)

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
            yield container
        finally:
            self._actions.stop(container.name)

    # --- the start ---------------------------------------------------------------------
    def _start(self, stack: ExitStack, ports: Ports, client: httpx.Client, sockets: Path) -> None:
        plan = self._plan
        wiring = FleetAddresses(
            experiment=plan.experiment,
            arm=plan.arm,
            capture=ports.reserve(),
            simulator=(plan.under_test.simulator_port if plan.under_test else None) or ports.reserve(),
            mcp=ports.reserve(),
            inherited=self._inherited,
            outside=stack.enter_context(self._proxy).port,
        )
        self.simulator_url = _url(wiring.simulator)
        self.tools_url = _url(wiring.mcp)
        self.capture_url = _url(wiring.capture)
        self._around = Surroundings(plan, wiring, ports=ports, clock=self._clock)
        balancers = Balancers(self._balancer_plans(ports, wiring, sockets), plan.work_dir, client)
        self.urls = balancers.urls
        actions = Containers(
            plan,
            ports=ports,
            processes=self._processes,
            balancers=balancers,
            surroundings=self._around,
            client=client,
        )
        self._actions = actions
        first = tuple(actions.next() for _ in range(plan.agents))
        self._movement = Movement(first, plan.events, seed=plan.seed, actions=actions, clock=self._clock)
        binary = envoy.find_envoy()
        self._write_files(balancers.files(first))

        self._on_phase("the model API simulator, the tool server and the capture start")
        launch = self._processes.launch
        capture, _ = launch(stack, self._capture(wiring))  # alone, so that it is stopped last
        others, _ = launch(stack, self._model_and_tools(wiring))
        self._await([*capture, *others], client)
        stack.enter_context(self._around)
        self._on_phase(f"{plan.agents} {'agent starts' if plan.agents == 1 else 'agents start'}")
        self._await(actions.launch(stack, first), client)
        many = f"{plan.balancers} balancers start" if plan.balancers > 1 else "the balancer starts"
        self._on_phase(f"{many} ({plan.policy})")
        self._await(launch(stack, balancers.commands(wiring, binary))[0], client)
        stack.push(lambda kind, *_: balancers.hand_in(self._clock, grace_s(kind)))

    def _await(self, targets: Sequence[ReadinessTarget], client: httpx.Client) -> None:
        deadline_s = self._plan.start_deadline_s
        wait_ready(targets, deadline_s=deadline_s, clock=self._clock, fetch=http_fetch(client))

    def _capture(self, wiring: FleetAddresses) -> dict[str, tuple[Command, str]]:
        forward_url = self._plan.forward_url
        command = commands.capture(wiring, self.traces_raw.parent, forward_url, self._forward_headers)
        return {"capture": (command, _url(wiring.capture) + HEALTHZ)}

    def _model_and_tools(self, wiring: FleetAddresses) -> dict[str, tuple[Command, str]]:
        plan = self._plan
        simulator = commands.simulator(wiring, plan.work_dir / "simulator.json", self.journal)
        mcp_server = commands.mcp_server(wiring, plan.mcp_handshake_s)
        return {
            "simulator": (simulator, _url(wiring.simulator) + HEALTHZ),
            "mcp-server": (mcp_server, _url(wiring.mcp) + HEALTHZ),
        }

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
                retry_resets=plan.retry_resets,
                port=ports.reserve(),
                admin=sockets / f"{name}{SOCKET}",
                capture_port=wiring.capture,
                agents=plan.agents,
                concurrency_limit=plan.concurrency_limit,
                queue_limit=plan.queue_limit,
                endpoints=plan.work_dir / "endpoints" / "agents.json",
                access_log=plan.log_dir / f"{name}-access.jsonl",
            )
            for name in names
        ]

    def _write_files(self, files: Mapping[Path, Any]) -> None:
        """Write what simulator and balancers read."""
        told = self._around.told(self._plan.simulator)
        simulator = {self._plan.work_dir / "simulator.json": told.model_dump(mode="json")}
        try:
            self._plan.log_dir.mkdir(parents=True, exist_ok=True)
            for path, content in {**files, **simulator}.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(content, indent=1), "utf-8")
        except OSError as error:
            raise StartError(f"{error.filename}: cannot be written to: {error.strerror}") from error


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"
