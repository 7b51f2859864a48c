"""What an experiment asks: the TOML of the catalogue, or of a user, as frozen models."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, WithJsonSchema, model_validator

from harness.outside.environment import VariableName, Word
from harness.records.weather import WeatherRule
from harness.simulator_config import Seconds, Seed, SimulatorConfig, Strict

NAME = r"^[a-z0-9][a-z0-9-]{0,40}$"
Name = Annotated[str, Field(pattern=NAME)]
CellName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}(\.[a-z0-9_]+=[A-Za-z0-9.-]+)*$")]
"""An experiment's name; in the cell of a matrix with what is set in it: `busy-routing.agents=4.seed=1`."""

MOST_RATE_RPS = 1000.0
"""What may be asked for as a rate, in requests/s: more would measure the load."""
MOST_DERIVED_RPS = 5000.0
"""What may follow from a utilisation: a run lowers that to what the machine can carry."""
MOST_LENGTH_S = 6 * 3600.0
"""A load's plan is at most so long: more is a slip of the pen."""
MOST_SOAK_S = 24 * 3600.0
"""But for a soak, which is asked for by the hour."""
MOST_REQUESTS = 500_000
"""And has at most so many requests: it is held in memory, and so is what is seen of each."""
MOST_CELLS = 1000
Burst = Annotated[int, Field(ge=0, le=2000)]
RateRps = Annotated[float, Field(ge=0, le=MOST_RATE_RPS)]
StepRps = Annotated[float, Field(gt=0, le=MOST_RATE_RPS)]
"""Of a step that must not be empty."""
DurationS = Annotated[float, Field(ge=0, le=3600)]

LEAST_STEPS = 2
"""With one step, nothing is known of the rates below it."""
AGENT_OVERHEAD_S = 0.010
"""What a request takes in a container beside the model on a fast machine, about: the agent's own work and
two hops. A calibration that finds more is believed."""


class Policy(StrEnum):
    """How the balancer picks a container. Each is described in `harness/fleet/envoy.py`."""

    BLIND = "blind"
    """Round robin over all that live; the containers queue inside."""
    LEAST_REQUEST = "least-request"
    """The fewest requests in flight, by the balancer's own count (full scan)."""
    READINESS = "readiness"
    """At random among those whose `/readyz`, asked once a second, said that they are ready; what one then
    answers is the caller's: a plain Service of Kubernetes."""
    PING = "ping"
    """Round robin, with `/ping` polled and a busy container treated as degraded."""
    BUSY_503 = "busy-503"
    """A 503 at the limit, retried elsewhere until one takes it."""
    BUSY_AWARE = "busy-aware"
    """An admission queue (FIFO) that lets in as many requests as there are slots, with the 503 as guard."""


PolicyName = Annotated[
    Name,
    WithJsonSchema({"anyOf": [{"enum": [*Policy], "type": "string"}, {"pattern": NAME, "type": "string"}]}),
]
"""One of these, or one that an installed package adds: whether there is that, who reads the file says."""


class EventSpec(Strict):
    """What happens to the fleet while the load runs.

    Attributes:
        action: `kill` ends a container by SIGKILL, and another one is started in its place, as an
            orchestrator would; `add` starts one more; `remove` takes one out of the balancer's list,
            and stops it with SIGTERM; `replace` is a rolling update: each that is there is removed in turn,
            once a new one is ready that was started for it; `freeze` stops one by SIGSTOP, and nobody is
            told, and lets it go on.
        at_s: when, in seconds since the load began.
        every_s: and again each so many seconds.
        times: how often in all.
        for_s: how long one is frozen.
        grace_s: how long one that is removed or replaced may take to end after SIGTERM; it is killed then.
    """

    action: Literal["kill", "add", "remove", "replace", "freeze"]
    at_s: Seconds
    every_s: Annotated[float, Field(gt=0, le=3600)] = 1.0
    times: Annotated[int, Field(ge=1, le=1000)] = 1
    for_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    grace_s: Annotated[float, Field(gt=0, le=600)] = 30.0


class AutoscaleSpec(Strict):
    """How many containers there are while the load runs, as a HorizontalPodAutoscaler finds it.

    Attributes:
        metric: what is held against the target: `inflight`, the requests that the balancers have for each
            container, those that wait included, on average since it looked last; or `cpu`, the cores that
            each keeps busy.
        target: of that, for each container.
        least: so few containers are left. With 0, by `inflight` alone, there are none after a while without a
            request; behind `busy-503` and `busy-aware` the first one then waits until one is ready that is
            started for it, behind other policies it is refused.
        most: so many are started. Those that there are when the load begins are the fleet's `agents`.
        sync_s: how often it looks. Kubernetes does each 15 s.
        down_s: fewer are left only once nothing so long ago has asked for more. Kubernetes waits 300 s.
    """

    metric: Literal["inflight", "cpu"] = "inflight"
    target: Annotated[float, Field(ge=0.001, le=1000)]
    least: Annotated[int, Field(ge=0, le=32)] = 1
    most: Annotated[int, Field(ge=1, le=32)]
    sync_s: Annotated[float, Field(gt=0, le=3600)] = 15.0
    down_s: Annotated[float, Field(ge=0, le=3600)] = 300.0

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        if self.least > self.most:
            msg = f"least is {self.least}, and most {self.most}"
            raise ValueError(msg)
        if self.metric == "cpu" and not self.least:
            msg = "least is 0, and metric cpu: who waits for a model uses none; scale to zero by inflight"
            raise ValueError(msg)
        return self


class FleetSpec(Strict):
    """The fleet: how many agents, and how many requests each works on at once.

    Attributes:
        agents: containers when the load begins.
        concurrency_limit: requests that each works on at once.
        policy: the balancer's; an installed package may add others.
        balancers: how many stand side by side, each blind to what the others send; callers take turns.
        queue_limit: requests that may wait in a balancer's admission queue.
        retry_resets: whether a balancer sends a request again whose container was lost while it worked.
            Only for agents that answer a request id they know from what they stored.
        mcp_handshake_s: what a handshake with the tool server costs.
        tool_servers: replicas of the tool server; of several, each knows the sessions alone that it opened.
        store: `sqlite`, a file; or `redis`, a real primary with a replica.
        restored: whether the containers are started, warmed, and then restored as copies of one snapshot.
        soaked: whether what the containers hold is looked at meanwhile.
        env: environment of the agents, `AGENT_*`.
        events: what happens to the containers meanwhile.
        autoscale: what decides how many there are meanwhile; without it, nothing does but `events`.
        weather: what happens on the way to what they call.
    """

    agents: Annotated[int, Field(ge=1, le=32)] = 2
    concurrency_limit: Annotated[int, Field(ge=1, le=1000)] = 8
    policy: PolicyName = Policy.BUSY_AWARE.value
    balancers: Annotated[int, Field(ge=1, le=4)] = 1
    queue_limit: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    retry_resets: bool = False
    mcp_handshake_s: Seconds = 0.0
    tool_servers: Annotated[int, Field(ge=1, le=3)] = 1
    store: Literal["sqlite", "redis"] = "sqlite"
    restored: bool = False
    soaked: bool = False
    env: Mapping[VariableName, Word] = {}
    events: tuple[EventSpec, ...] = ()
    autoscale: AutoscaleSpec | None = None
    weather: tuple[WeatherRule, ...] = ()


class PhaseSpec(Strict):
    """A part of the load after the steady one: `burst` requests at once, then Poisson at `rate_rps`."""

    name: Name
    rate_rps: RateRps = 0.0
    duration_s: Annotated[DurationS, Field(gt=0)]
    burst: Burst = 0


class RampSpec(Strict):
    """Steps of rising rate, to find the highest that is sustained. It stops at the first that isn't.

    A step is sustained when its p99 stays within `p99_ms` and its errors within `error_ratio`.

    Attributes:
        rates_rps: of the steps, rising.
        utilisations: in their place, the steps as shares of what the fleet can do, as `load.utilisation` is.
        requests: that a step has, about: enough for a p99.
        min_step_s: and how long it lasts at the least.
        agent_cpu_s: CPU seconds of a request in the container that `rates_rps` were chosen for: where it
            costs more, all rates are as much lower. None for rates that stay as they are.
    """

    rates_rps: tuple[StepRps, ...] = ()
    utilisations: tuple[Annotated[float, Field(gt=0, le=4)], ...] = ()
    requests: Annotated[int, Field(ge=100, le=100_000)] = 120
    min_step_s: Annotated[float, Field(gt=0, le=3600)] = 4.0
    agent_cpu_s: Annotated[float, Field(gt=0)] | None = None
    p99_ms: Annotated[float, Field(gt=0)]
    error_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.01

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if bool(self.rates_rps) == bool(self.utilisations):
            msg = "give the steps as rates_rps, or as utilisations"
            raise ValueError(msg)
        steps = self.rates_rps or self.utilisations
        if len(steps) < LEAST_STEPS or list(steps) != sorted(set(steps)):
            msg = "the steps must be two or more, and rise"
            raise ValueError(msg)
        return self

    def of(self, capacity_rps: float) -> RampSpec:
        """Return this ramp with its rates, for a fleet that can do so many requests/s."""
        if self.rates_rps:
            return self
        rates_rps = tuple(round(share * capacity_rps, 2) for share in self.utilisations)
        return self.model_copy(update={"rates_rps": rates_rps, "utilisations": ()})


class LoadSpec(Strict):
    """Open arrivals: an optional burst at the start, then Poisson at `rate_rps`, then further phases.

    Attributes:
        burst: requests due at the same instant, at time 0.
        quiet_s: seconds between the burst and the first steady arrival.
        rate_rps: mean arrivals a second of the steady phase.
        utilisation: in its place, the share of the fleet's capacity that arrives: the rate follows from
            the number of containers, their limit and the simulator's mean latency. Above 1 is overload.
        duration_s: length of the steady phase.
        phases: what comes after it, one after the other.
        ramp: what comes last.
        turns: requests of one session, one after the other in the plan; 1 = no history.
        turn_gap_s: two of them are planned at least so far apart: a person reads before they answer.
        canaries: whether each request tells a word of its own, and asks for all words of its session.
        leave_share: of the requests, those whose reader leaves as soon as a first part of the answer is
            there; an answer in one piece is read by all.
        timeout_s: when the client gives up on an answer.
        max_in_flight: above it an arrival is dropped, and counted.
    """

    burst: Burst = 0
    quiet_s: Seconds = 0.0
    rate_rps: RateRps = 5.0
    utilisation: Annotated[float, Field(gt=0, le=4)] | None = None
    duration_s: DurationS = 20.0
    phases: tuple[PhaseSpec, ...] = ()
    ramp: RampSpec | None = None
    turns: Annotated[int, Field(ge=1)] = 1
    turn_gap_s: Seconds = 2.0
    canaries: bool = False
    leave_share: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    max_in_flight: Annotated[int, Field(ge=1, le=10_000)] = 1000

    @model_validator(mode="after")
    def _sends_something(self) -> Self:
        steady = (self.rate_rps > 0 or self.utilisation is not None) and self.duration_s > 0
        if not (steady or self.burst or self.phases or self.ramp):
            msg = "the plan is empty: give a burst, or a rate_rps and a duration_s"
            raise ValueError(msg)
        return self

    @property
    def length_s(self) -> float:
        """Seconds from the begin to the last arrival that is planned, about."""
        steps = [] if self.ramp is None else [step_s(self.ramp, rate) for rate in self.ramp.rates_rps]
        return self.quiet_s + self.duration_s + sum(phase.duration_s for phase in self.phases) + sum(steps)

    @property
    def requests(self) -> float:
        """How many requests are planned, about."""
        steps = [] if self.ramp is None else [rate * step_s(self.ramp, rate) for rate in self.ramp.rates_rps]
        phases = [phase.burst + phase.rate_rps * phase.duration_s for phase in self.phases]
        return self.burst + self.rate_rps * self.duration_s + sum(phases) + sum(steps)

    @property
    def highest_rps(self) -> float:
        """The highest of its rates."""
        rates_rps = self.ramp.rates_rps if self.ramp else ()
        return max(self.rate_rps, *(phase.rate_rps for phase in self.phases), *rates_rps, 0.0)


def step_s(ramp: RampSpec, rate_rps: float) -> float:
    """Return how long the step of a ramp lasts."""
    return max(ramp.min_step_s, ramp.requests / rate_rps)


Scalar = bool | int | float | str


class QuickSpec(Strict):
    """What `--quick` changes of the load, and which arms it leaves out."""

    duration_s: DurationS | None = None
    rate_rps: StepRps | None = None
    burst: Burst | None = None
    without: tuple[Name, ...] = ()


class ArmSpec(Strict):
    """One arm: what it changes against the experiment.

    Attributes:
        title: a few words for the report.
        control: whether this is the arm in which the fault must be found.
        agent: whose agent it is: the reference agent, or the user's own.
        policy, agents, concurrency_limit, balancers, retry_resets, restored, events, autoscale, weather: in
            place of the fleet's.
        env: added to the agents' environment.
    """

    title: Annotated[str, Field(min_length=1)]
    control: bool = False
    agent: Literal["reference", "yours"] = "reference"
    policy: PolicyName | None = None
    agents: Annotated[int, Field(ge=1, le=32)] | None = None
    concurrency_limit: Annotated[int, Field(ge=1, le=1000)] | None = None
    balancers: Annotated[int, Field(ge=1, le=4)] | None = None
    retry_resets: bool | None = None
    restored: bool | None = None
    events: tuple[EventSpec, ...] | None = None
    autoscale: AutoscaleSpec | None = None
    weather: tuple[WeatherRule, ...] | None = None
    env: Mapping[VariableName, Word] = {}


class CheckSpec(Strict):
    """One check: where it must hold, and where it must be found failing.

    Attributes:
        id: a name of the registry in `harness/judge/invariants`.
        limit: what the figure is held against; None for the invariant's own default.
        holds_in: arms in which it must hold.
        caught_in: control arms in which it must be found failing.
        versus: for a comparison, the arm to compare with.
    """

    id: Name
    limit: float | None = None
    holds_in: tuple[Name, ...] = ()
    caught_in: tuple[Name, ...] = ()
    versus: Name | None = None


class ExperimentSpec(Strict):
    """One experiment, whole.

    Attributes:
        name: in commands, files and reports.
        title: of the report's section.
        claim: what its checks prove, in a sentence.
        seed: of arrivals, latencies and faults.
        min_requests: fewer answers in an arm than this make its checks unknown.
        overhead_s: that a request takes in a container beside the model, about: the utilisation rests on it.
        rate_scale: what the rates were multiplied by; a run writes it, `--rate-scale` asks for it.
        fleet: what runs.
        simulator: how the model API answers.
        load: who asks, how often and for how long.
        quick: what the short form changes.
        arms: what is compared, by name; at least one is a control.
        checks: what must hold in which arms, and be caught in which controls.
        matrix: what `--full` varies: in each table dotted keys and the values that each takes; every
            combination is a cell. `"checks.ID.ARM" = [1.1]` gives a check another limit in an arm, and
            `[false]` leaves it out there, where the other settings make it tell nothing.
    """

    name: CellName
    title: Annotated[str, Field(min_length=1)]
    claim: Annotated[str, Field(min_length=1)]
    seed: Seed = 1
    min_requests: Annotated[int, Field(ge=1)] = 100
    overhead_s: Annotated[float, Field(ge=0, le=60)] = AGENT_OVERHEAD_S
    rate_scale: Annotated[float, Field(gt=0)] = 1.0
    fleet: FleetSpec = FleetSpec()
    simulator: SimulatorConfig = SimulatorConfig()
    load: LoadSpec = LoadSpec()
    quick: QuickSpec = QuickSpec()
    arms: Annotated[Mapping[Name, ArmSpec], Field(min_length=1)]
    checks: Annotated[tuple[CheckSpec, ...], Field(min_length=1)]
    matrix: tuple[Mapping[str, Annotated[tuple[Scalar, ...], Field(min_length=1)]], ...] = ()

    @model_validator(mode="after")
    def _arms_fit_checks(self) -> Self:
        controls = {name for name, arm in self.arms.items() if arm.control}
        if not controls:
            msg = "arms: none has control = true; an experiment that cannot fail proves nothing"
            raise ValueError(msg)
        caught: set[str] = set()
        for check in self.checks:
            named = {*check.holds_in, *check.caught_in} | ({check.versus} - {None})
            if unknown := named - set(self.arms):
                names = ", ".join(sorted(map(str, unknown)))
                msg = f"checks: {check.id} names arms that are not there: {names}"
                raise ValueError(msg)
            if not check.holds_in and not check.caught_in:
                msg = f"checks: {check.id} looks at no arm: give holds_in or caught_in"
                raise ValueError(msg)
            if stray := set(check.caught_in) - controls:
                msg = (
                    f"checks: {check.id} has caught_in arms that are not controls: {', '.join(sorted(stray))}"
                )
                raise ValueError(msg)
            caught |= set(check.caught_in)
        if stray := set(self.quick.without) - set(self.arms):
            msg = f"quick: without names arms that are not there: {', '.join(sorted(stray))}"
            raise ValueError(msg)
        if silent := controls - caught:
            msg = f"arms: no check has to catch the control arm {', '.join(sorted(silent))}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _ends(self) -> Self:
        for arm in self.arms:
            load = self.load_of(arm)
            for figure, most, what in (
                (load.highest_rps, MOST_DERIVED_RPS, "requests/s"),
                (load.length_s, MOST_SOAK_S if self.fleet.soaked else MOST_LENGTH_S, "s of load"),
                (load.requests, MOST_REQUESTS, "requests"),
            ):
                if figure > most:
                    msg = f"load: arm {arm} would get {figure:.3g} {what}, and {most:g} are the most"
                    raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _weather_befalls_somebody(self) -> Self:
        """Refuse weather that befalls nobody: all would hold in it."""
        for arm in self.arms:
            fleet = self.fleet_of(arm)
            others = fleet.autoscale is not None or any(
                event.action in {"add", "kill", "replace"} for event in fleet.events
            )  # these are numbered on
            length_s = 0.0 if self.fleet.soaked else self.load_of(arm).length_s  # a soak may be cut short
            if length_s and fleet.weather and all(r.window_s[0] >= length_s for r in fleet.weather):
                msg = f"weather: the load of {arm} is over after {length_s:g} s, before any of it begins"
                raise ValueError(msg)
            for rule in fleet.weather:
                if rule.target == "store" and fleet.store == "sqlite":
                    msg = (
                        f"weather: {rule.kind} befalls the store, as all does without a target, and that of "
                        f'{arm} is a file; give store = "redis" in [fleet], or another target'
                    )
                    raise ValueError(msg)
                if not others and (rule.container or 0) > fleet.agents:
                    msg = f"weather: {arm} has {fleet.agents} containers, and no container {rule.container}"
                    raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _other_forms_are_right(self) -> Self:
        """Refuse a short form or a cell that could not be run, before anything is."""
        if self.quick != QuickSpec():
            self._proved("quick: as --quick runs it", self.quickened().model_dump())
        if self.matrix:
            self.cells()
        return self

    @classmethod
    def _proved(cls, form: str, record: Mapping[str, Any]) -> ExperimentSpec:
        """Return another form of an experiment.

        Raises:
            ValueError: it is none; the message begins with `form`.
        """
        try:
            return cls.model_validate(record)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"{form}: {f'{key}: ' if key else ''}{message}") from error

    def fleet_of(self, arm: str) -> FleetSpec:
        """Return the fleet as `arm` has it."""
        chosen = self.arms[arm]
        own = {
            key: value
            for key in (
                "policy",
                "agents",
                "concurrency_limit",
                "balancers",
                "retry_resets",
                "restored",
                "events",
                "autoscale",
                "weather",
            )
            if (value := getattr(chosen, key)) is not None
        }
        return self.fleet.model_copy(update={**own, "env": {**self.fleet.env, **chosen.env}})

    def load_of(self, arm: str) -> LoadSpec:
        """Return the load as `arm` gets it: its rates follow from the utilisation, where one is given."""
        capacity_rps = self.capacity_rps(arm)
        changed: dict[str, Any] = {}
        if self.load.utilisation is not None:
            changed["rate_rps"] = self.load.utilisation * capacity_rps
        if self.load.ramp is not None:
            changed["ramp"] = self.load.ramp.of(capacity_rps)
        return self.load.model_copy(update=changed)

    def capacity_rps(self, arm: str) -> float:
        """Return what the containers of `arm` can do together, in requests/s, about."""
        fleet = self.fleet_of(arm)
        slots = fleet.agents * fleet.concurrency_limit
        return slots / self.service_s if self.service_s > 0 else math.inf

    @property
    def service_s(self) -> float:
        """Seconds that a container works on a request, about: its model calls and its own overhead."""
        latency = self.simulator.latency
        call_s = latency.ttft.mean_s + (latency.tokens - 1) * latency.itl.mean_s
        return (1 + self.simulator.tool_turns) * call_s + self.overhead_s

    def quickened(self) -> ExperimentSpec:
        """Return this experiment as `--quick` runs it: in one cell, without the arms that it leaves out."""
        changed = self.quick.model_dump(exclude_none=True, exclude={"without"})
        return self._without(self.quick.without).model_copy(
            update={"load": self.load.model_copy(update=changed), "quick": QuickSpec(), "matrix": ()}
        )

    def _without(self, arms: Collection[str]) -> ExperimentSpec:
        def left(check: CheckSpec) -> CheckSpec:
            return check.model_copy(
                update={
                    "holds_in": tuple(arm for arm in check.holds_in if arm not in arms),
                    "caught_in": tuple(arm for arm in check.caught_in if arm not in arms),
                }
            )

        kept = [left(check) for check in self.checks if check.versus not in arms]
        return self.model_copy(
            update={
                "arms": {name: arm for name, arm in self.arms.items() if name not in arms},
                "checks": tuple(check for check in kept if check.holds_in or check.caught_in),
            }
        )

    def seeded(self, seed: int) -> ExperimentSpec:
        """Return this experiment with other arrivals, latencies and faults."""
        simulator = self.simulator.model_copy(update={"seed": seed})
        return self.model_copy(update={"seed": seed, "simulator": simulator})

    def cells(self) -> tuple[Cell, ...]:
        """Return the cells of the matrix, in order; one with nothing set when there is no matrix.

        Raises:
            ValueError: a key of the matrix names nothing, or a value doesn't fit there.
        """
        if not self.matrix:
            return (Cell(spec=self, set={}),)
        many = sum(math.prod(len(values) for values in table.values()) for table in self.matrix)
        if many > MOST_CELLS:
            msg = f"matrix: it has {many} cells, and {MOST_CELLS} are the most"
            raise ValueError(msg)
        chosen = [
            dict(zip(table, values, strict=True))
            for table in self.matrix
            for values in itertools.product(*table.values())
        ]
        cells = tuple(Cell(spec=self._with(each), set=_settings(each)) for each in chosen)
        name, times = Counter(cell.spec.name for cell in cells).most_common(1)[0]
        if times > 1:
            msg = f"matrix: {times} of its cells would be called {name}"
            raise ValueError(msg)
        return cells

    def _with(self, chosen: Mapping[str, Scalar]) -> ExperimentSpec:
        record: dict[str, Any] = self.model_dump(exclude={"matrix", "quick"})
        for key, value in chosen.items():
            if key.startswith(CHECKS):
                record["checks"] = _with_check(record["checks"], key, value)
                continue
            *path, last = key.split(".")
            table: Any = record
            for part in path:
                table = table.get(part) if isinstance(table, dict) else None
            if not isinstance(table, dict) or last not in table:
                msg = f"matrix: {key} is not a key of an experiment"
                raise ValueError(msg)
            table[last] = value
        label = ".".join(f"{key.rpartition('.')[2]}={value}" for key, value in _settings(chosen).items())
        cell = self._proved(f"matrix: {label}", record | {"name": f"{self.name}.{label}"})
        return cell.seeded(cell.seed)


CHECKS = "checks."


def _settings(chosen: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return what is set in a cell, without what is said of its checks."""
    return {key: value for key, value in chosen.items() if not key.startswith(CHECKS)}


def _with_check(checks: Collection[dict[str, Any]], key: str, value: Scalar) -> list[dict[str, Any]]:
    """Return the checks with the limit `value`, or without it, for the one that `checks.ID.ARM` names."""
    check_id, _, arm = key.removeprefix(CHECKS).rpartition(".")
    if value is True or isinstance(value, str):
        msg = f"matrix: {key} can be a limit, or false: then the check is left out of that arm"
        raise ValueError(msg)
    if not any(check["id"] == check_id and arm in _arms_of(check) for check in checks):
        msg = f"matrix: {key}: no check of that name looks at that arm"
        raise ValueError(msg)
    changed: list[dict[str, Any]] = []
    for check in checks:
        if check["id"] != check_id or arm not in _arms_of(check):
            changed.append(check)
            continue
        if value is not False:
            changed.append(_of_arms(check, lambda name: name == arm) | {"limit": value})
        changed.append(_of_arms(check, lambda name: name != arm))
    return [check for check in changed if _arms_of(check)]


def _of_arms(check: Mapping[str, Any], wanted: Callable[[str], bool]) -> dict[str, Any]:
    return {**check} | {
        where: tuple(name for name in check[where] if wanted(name)) for where in ("holds_in", "caught_in")
    }


def _arms_of(check: Mapping[str, Any]) -> tuple[str, ...]:
    return (*check["holds_in"], *check["caught_in"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a matrix: an experiment of its own, and what is set in it, by dotted key."""

    spec: ExperimentSpec
    set: Mapping[str, Scalar]
