"""Measures what a request costs on this machine: a small fleet, a few dozen requests, some seconds.

One container of each kind that the run will have gets requests from the real load through the real balancer.
The costs are CPU seconds, which a busy neighbour hardly changes.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Final

from harness.clock import Clock
from harness.fleet.opening import opened
from harness.fleet.plan import START_DEADLINE_S, FleetPlan
from harness.fleet.protocol import Fleet
from harness.fleet.where import Where
from harness.load.arrivals import plan as plan_arrivals
from harness.load.launcher import LoadChild, LoadJob
from harness.machine import allowed_cores, usable_cores
from harness.process.guard import scratch_folder
from harness.records.calibration import Calibration, Cost, RequestKind
from harness.records.history import grouped
from harness.records.sent import RequestRow
from harness.records.setup import Container, ProcessUsage
from harness.records.spec import LoadSpec, Policy
from harness.run import folder as run_folder
from harness.run import trial
from harness.run.arm import drive
from harness.run.direct import DirectCaller
from harness.run.fit_to_machine import CONTROLS, PER_REQUEST
from harness.run.folder import RunFolder
from harness.simulator_config import Distribution, Latency, SimulatorConfig
from harness.under_test import AgentUnderTest, RequestShape

NAME: Final = "calibration"
RATE_RPS: Final = 10.0
"""Of the load, per container."""
LOAD_S: Final = 2.0
ASKED: Final = 4
"""Requests to each container before a load, one after the other: the first builds the clients, the others
tell what a request takes when nothing else goes on."""
TIMEOUT_S: Final = 30.0
LATENCY: Final = Latency(ttft=Distribution(median_s=0.02), itl=Distribution(median_s=0.002), tokens=8)
MOST_WAITED: Final = 3.0
"""A request that is alone takes at most so many times its CPU time; what is more is a neighbour's doing."""
MODEL_CALL_S: Final = LATENCY.ttft.median_s + (LATENCY.tokens - 1) * LATENCY.itl.median_s


def calibrate(
    kinds: Sequence[RequestKind],
    folder: RunFolder,
    clock: Clock,
    *,
    own: AgentUnderTest | None = None,
    agent_command: tuple[str, ...] | None = None,
    on: Where = Where.LOCAL,
) -> Calibration:
    """Measure what requests of some kinds cost.

    Args:
        kinds: which; at least one.
        folder: for the files of the fleets meanwhile, and for their logs.
        clock: for waiting.
        own: the user's agent, where a kind is of it.
        agent_command: what starts an agent in place of the reference agent's own command.
        on: where the containers run.

    Raises:
        AgentrigError: something could not be started, or died.
    """
    begun_s = clock.monotonic()
    by_agent = grouped(kinds, lambda kind: kind.agent)
    rigs = [
        _Rig(mine, own if agent == "yours" else None, agent_command, folder, clock, on=on)
        for agent, mine in by_agent.items()
    ]
    for rig in rigs:
        rig.measure()
    return Calibration(
        cores=usable_cores(),
        physical_cores=len(allowed_cores()),
        others_cores=median(others for rig in rigs for others in rig.others_cores),
        costs=tuple(cost for rig in rigs for cost in rig.costs),
        load_s=max(cost_s for rig in rigs for cost_s in rig.load_s),
        capture_s=max(cost_s for rig in rigs for cost_s in rig.capture_s),
        start_s=max(rig.start_s for rig in rigs),
        took_s=clock.monotonic() - begun_s,
    )


def calibrate_reference(clock: Clock) -> Calibration:
    """Measure what requests of each kind cost the reference agent, and keep no file of it.

    Raises:
        AgentrigError: something could not be started, or died.
    """
    every = [RequestKind(per_request=each, tools=tools) for each in (False, True) for tools in (False, True)]
    with scratch_folder("calibration") as folder:
        return calibrate(every, RunFolder(folder), clock)


class _Rig:
    """One fleet, of the reference agent or the user's own, and what its loads cost."""

    def __init__(
        self,
        kinds: Sequence[RequestKind],
        own: AgentUnderTest | None,
        agent_command: tuple[str, ...] | None,
        folder: RunFolder,
        clock: Clock,
        *,
        on: Where,
    ) -> None:
        self._agent = kinds[0].agent
        self._per_request = sorted({kind.per_request for kind in kinds})
        self._tools = sorted({kind.tools for kind in kinds})
        self._own = own
        self._agent_command = agent_command
        self._work = folder.work(NAME, self._agent)
        self._logs = folder.logs(NAME, self._agent)
        self._clock = clock
        self._on = on
        self.costs: list[Cost] = []
        self.load_s: list[float] = []
        self.capture_s: list[float] = []
        self.others_cores: list[float] = []
        self.start_s = 0.0
        self._started: dict[str, float] = {}

    def measure(self) -> None:
        """Start the fleet, and send it a load with each number of tool calls."""
        begun_s = self._clock.monotonic()
        with opened(self._plan(), self._on, clock=self._clock) as fleet:
            self.start_s = self._clock.monotonic() - begun_s
            self._started = {name: cpu_s for name, (cpu_s, _) in fleet.usage().items()}
            if self._own is not None:
                trial.require_call(self._own, trial.ask(fleet, self._own))
            for tools in self._tools:
                changed = {"tool_turns": int(tools)}
                fleet.simulator.tell("PATCH", "/sim/config", json=changed)
                self._measure(fleet, tools=tools)

    def _measure(self, fleet: Fleet, *, tools: bool) -> None:
        alone_s = {container.name: self._ask(container) for container in fleet.containers}
        with LoadChild(self._job(fleet), clock=self._clock) as load:
            load.start()
            driven = drive(fleet, load, self._clock, watch=fleet.check)
            result = load.wait()
        rows = list(run_folder.read_rows(result.rows, RequestRow))
        served = Counter(row.upstream for row in rows if row.ok)
        spent = {each.name: each for each in driven.usage}
        requests = max(1, len(rows))
        model_s = _cpu_s(spent, "simulator", "mcp-server") / requests
        self.load_s.append(result.cpu_s / requests)
        self.capture_s.append(_cpu_s(spent, "capture", "envoy") / requests)
        self.others_cores.append(driven.others_cores)
        for number, container in enumerate(fleet.containers):
            answered = served[container.address] or requests / len(fleet.containers)
            per_request = self._per_request[number % len(self._per_request)]
            agent_s = _cpu_s(spent, container.name) / answered
            self.costs.append(
                Cost(
                    kind=RequestKind(agent=self._agent, per_request=per_request, tools=tools),
                    agent_s=agent_s,
                    model_s=model_s,
                    overhead_s=_overhead_s(
                        alone_s[container.name] - (1 + tools) * MODEL_CALL_S, agent_s + model_s
                    ),
                    start_s=self._started.get(container.name, 0.0),
                )
            )

    def _ask(self, container: Container) -> float:
        """Return what a request takes, in seconds, when it is alone: the least of a few."""
        took_s = []
        for _ in range(ASKED):
            with DirectCaller(container.reached_at, self._shape, timeout_s=TIMEOUT_S) as caller:
                session = caller.open(secrets.token_hex(20))
                begun_s = self._clock.monotonic()
                answer = caller.ask(f"Which word is this: {secrets.token_hex(4)}?", session)
            if not answer.status:
                break  # how it answers is for the experiments to judge; one that hangs is asked once
            took_s.append(self._clock.monotonic() - begun_s)
        return min(took_s[1:] or took_s or [0.0])

    @property
    def _shape(self) -> RequestShape:
        return self._own.request if self._own else RequestShape()

    def _job(self, fleet: Fleet) -> LoadJob:
        load = LoadSpec(rate_rps=RATE_RPS * len(fleet.containers), duration_s=LOAD_S, timeout_s=TIMEOUT_S)
        run_id = secrets.token_hex(4)
        return LoadJob(
            hosts=fleet.urls,
            experiment=NAME,
            arm=self._agent,
            run_id=run_id,
            arrivals=plan_arrivals(load, 1, NAME, run_id, self._shape.prompts),
            timeout_s=load.timeout_s,
            max_in_flight=load.max_in_flight,
            work_dir=self._work,
            log=self._logs / "locust.log",
            request=self._shape,
        )

    def _plan(self) -> FleetPlan:
        own = self._own
        return FleetPlan(
            experiment=NAME,
            arm=self._agent,
            agents=len(own.addresses) if own and own.addresses else len(self._per_request),
            concurrency_limit=own.concurrency_limit if own else 64,
            policy=Policy.BLIND,
            queue_limit=1000,
            simulator=SimulatorConfig(latency=LATENCY),
            mcp_handshake_s=0.0,
            env={},
            env_of=tuple({CONTROLS: PER_REQUEST} if each else {} for each in self._per_request),
            work_dir=self._work,
            log_dir=self._logs,
            forward_url=None,
            agent_command=self._agent_command,
            under_test=own,
            start_deadline_s=own.start_deadline_s if own else START_DEADLINE_S,
        )


def _cpu_s(spent: dict[str, ProcessUsage], *names: str) -> float:
    return sum(spent[name].cpu_s for name in names if name in spent)


def _overhead_s(waited_s: float, cpu_s: float) -> float:
    """Return the seconds that a request takes beside the model: no more than its own work can explain."""
    return max(0.0, min(waited_s, MOST_WAITED * cpu_s))
