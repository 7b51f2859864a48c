"""The gate's one page: two fleets side by side, pairs of blocks in random order, looks, a verdict.

sources -> both fleets up -> [pair: base and head, same arrivals and faults] -> look -> ... -> report
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from harness import __version__, machine
from harness.analysis.join import join
from harness.asking.answer import is_success
from harness.clock import Clock
from harness.errors import AgentrigError, InputError, StartError
from harness.fleet.installed import likeness
from harness.fleet.opening import opened
from harness.fleet.plan import FleetPlan
from harness.fleet.protocol import Fleet
from harness.gate import folder as gate_folder
from harness.gate.blocks import AT_LIMIT, Block, ResourceUse, Side, calls_of_block, order_of, summarise_block
from harness.gate.decide import GateDecision, GateVerdict, decide
from harness.gate.ending import SideError
from harness.gate.folder import GatePlan
from harness.gate.parts import SpanReader, part_figures
from harness.gate.rate import fitted_rate
from harness.gate.scenario import STEADY, GateScenario
from harness.gate.source import Source
from harness.gate.statistics import LOOKS
from harness.gate.tolerances import parse_tolerances
from harness.load.arrivals import plan as plan_arrivals
from harness.load.launcher import LoadChild, LoadJob, LoadProgress
from harness.machine import allowed_cores, free_cores, usable_cores
from harness.records.history import ArmData
from harness.records.outcome import RunResult
from harness.records.seen import JournalRow
from harness.records.sent import Arrival, RequestRow
from harness.records.setup import ArmFacts
from harness.records.spec import LoadSpec
from harness.run import folder as run_folder
from harness.run import trial
from harness.run.arm import Driven, drive, fleet_plan, hand_in_client_spans, keep
from harness.run.direct import DirectCaller
from harness.run.folder import RunFolder
from harness.run.formats import FORMAT
from harness.under_test import RequestShape

WARM_UP: int = 40
"""Requests at the head of each block whose times don't count: caches and connections are warm after them."""
BURST: int = 60
"""Requests at the end of each block that come all at once, `BURST_AFTER_S` after the last steady one."""
BURST_AFTER_S = 0.5
COLD_TIMEOUT_S = 60.0
REFERENCE_SHAPE = RequestShape(answer="result")
"""Of the reference agent: an answer without words is none."""
PILOT: int = 90
"""Requests at the scenario's own rate that tell what one costs here."""


class GateProgress(Protocol):
    """Who is told how far the gate is."""

    def phase(self, text: str) -> None:
        """Something that takes a while begins."""
        ...

    def block(self, pair: int, of: int, scenario: str, side: str) -> None:
        """A block of pair `pair` of at most `of` begins."""
        ...

    def load(self, progress: LoadProgress, elapsed_s: float) -> None:
        """The load goes on."""
        ...

    def decided(self, decision: GateDecision) -> None:
        """There was a look."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """How the gate is run.

    Attributes:
        out: the run folder.
        requests: of a block, its warm-up included.
        looks: pairs after which it is looked.
        seed: of the order within pairs, and of the pairs' arrivals.
        env: added to the agents' environment, by side.
        cold: whether each block also starts a new container, for the first answer that it gives.
        fit_rate: whether the rate of the gate's own scenario is chosen for this machine, by a pilot.
        tolerances: as they were typed, in place of the usual ones.
        again: the command that does the same.
        jaeger_url: address of Jaeger's page, for links.
        forward_url: OTLP/HTTP base address that gets a copy of all telemetry.
    """

    out: Path
    requests: int = 540
    looks: tuple[int, ...] = LOOKS
    seed: int = 1
    env: Mapping[Side, Mapping[str, str]] = field(default_factory=dict)
    cold: bool = False
    fit_rate: bool = False
    tolerances: tuple[str, ...] = ()
    again: str | None = None
    jaeger_url: str | None = None
    forward_url: str | None = None


def conditions(scenario: GateScenario, settings: GateSettings) -> dict[str, str]:
    """Return what a figure depends on beside the version that is measured."""
    asked = hashlib.sha256(scenario.model_dump_json().encode()).hexdigest()[:12]
    here = machine.describe()
    return {
        "machine": f"{here['platform']}, {here['cores']} cores",
        "python": str(here["python"]),
        "scenario": asked,
        "block": str(settings.requests),
        "cold": str(settings.cold),
    }


@dataclass
class _Half:
    """One side of one scenario, up and running, and what was seen of it."""

    scenario: GateScenario
    side: Side
    fleet: Fleet
    work: Path
    log: Path
    spans: SpanReader
    rows: list[RequestRow] = field(default_factory=list)
    start_s: float | None = None


class Gate:
    """Both fleets of every scenario, and the pairs that are run on them.

    Args:
        sources: base and head.
        scenarios: what they are asked.
        settings: how.
        progress: is told.
        clock: for waiting.

    Raises:
        InputError: two scenarios have the same name.
    """

    def __init__(
        self,
        sources: Mapping[Side, Source],
        scenarios: Sequence[GateScenario],
        settings: GateSettings,
        progress: GateProgress,
        clock: Clock,
    ) -> None:
        for name, times in Counter(each.name for each in scenarios).items():
            if times > 1:  # their blocks could not be told apart
                raise InputError(f"{name}: is asked for {times} times. Give each scenario once.")
        self._sources = sources
        self._scenarios = scenarios
        self._settings = settings
        self._progress = progress
        self._clock = clock
        self._tolerances = parse_tolerances(settings.tolerances)
        self._run_id = run_folder.new_run_id(clock.now(), os.urandom(2).hex())
        self._halves: dict[tuple[str, Side], _Half] = {}
        self._started_s = clock.now()
        self._asked = GatePlan(
            started_s=self._started_s,
            labels={str(side): source.label for side, source in sources.items()},
            conditions={each.name: conditions(each, settings) for each in scenarios},
            run_id=self._run_id,
            format=FORMAT,
            version=__version__,
            looks=settings.looks,
            tolerances=settings.tolerances,
            requests=settings.requests - WARM_UP,
            again=settings.again,
            jaeger_url=settings.jaeger_url,
        )
        self.folder = gate_folder.create(settings.out, self._asked)
        self.pairs = 0

    def up(self, stack: ExitStack) -> None:
        """Start all fleets; `stack` stops them.

        Raises:
            SideError: one does not start, says which side; or a user's agent makes no model call that comes.
        """
        for scenario in self._scenarios:
            for side, source in self._sources.items():
                self._progress.phase(f"{side} of {scenario.name} starts")
                work = self.folder.work(scenario.name, side)
                logs = self.folder.logs(scenario.name, side)
                fleet = opened(self._plan(scenario, side, source, work, logs), clock=self._clock)
                with self._doing_of(side, "did not start"):
                    stack.enter_context(fleet)
                    if source.own is not None and trial.can_be_seen(source.own):
                        trial.require_call(source.own, trial.ask(fleet, source.own))
                self._halves[scenario.name, side] = _Half(
                    scenario=scenario,
                    side=side,
                    fleet=fleet,
                    work=work,
                    log=logs / "locust.log",
                    spans=SpanReader(fleet.traces_raw, self._clock),
                )

    def fit_rate(self) -> None:
        """Choose the rate of the gate's own scenario by a pilot on base; both sides are then sent the same.

        Raises:
            AgentrigError: a process died meanwhile.
        """
        for half in [each for each in self._halves.values() if each.side is Side.BASE]:
            if half.scenario.name != STEADY:
                continue  # an experiment's rate is part of what it asks
            self._progress.phase("a pilot: what does a request cost here?")
            prompts, load = self._shape(half.side).prompts, half.scenario.block(PILOT)
            arrivals = plan_arrivals(load, self._settings.seed, "pilot", self._run_id, prompts)[:PILOT]
            sent, driven, _ = self._send(half, arrivals, f"{self._run_id}-pilot")
            if not (good := [row for row in sent if row.ok]):
                continue  # the first pair will tell more
            rate_rps = fitted_rate(
                cpu_s=sum(each.cpu_s for each in driven.usage) / len(sent),
                latency_s=sum(row.latency_s for row in good) / len(good),
                slots=half.scenario.fleet.agents * self._limit(half.scenario, half.side),
                cores=free_cores(usable_cores(), driven.others_cores, len(allowed_cores())),
            )
            self._progress.phase(f"this machine carries {rate_rps:g}/s with ease: blocks are sent so")
            with self._doing_of(half.side, "did not start again"):
                half.fleet.renew()  # as fresh as head is when the first pair begins
            fitted = half.scenario.at(rate_rps)
            for other in self._halves.values():
                if other.scenario.name == fitted.name:
                    other.scenario = fitted
            self._scenarios = [fitted if each.name == fitted.name else each for each in self._scenarios]
        self._asked = replace(
            self._asked,
            conditions={each.name: conditions(each, self._settings) for each in self._scenarios},
        )
        gate_folder.write_plan(self.folder, self._asked)

    @contextmanager
    def _doing_of(self, side: Side, what: str) -> Iterator[None]:
        """Say whose doing it is where something does not start, or dies."""
        try:
            yield
        except StartError as error:
            raise SideError(side, f"{side} ({self._sources[side].label}) {what}: {error}") from error

    def decide(self, blocks: list[Block] | None = None) -> tuple[GateDecision, list[Block]]:
        """Run pairs until a look decides."""
        done: list[Block] = [] if blocks is None else blocks
        first_pair = self.pairs
        for looked_at in self._settings.looks:
            while self.pairs - first_pair < looked_at:
                done += self._pair(self.pairs - first_pair + 1)
            decision = decide(done, self._settings.looks, self._tolerances)
            self._progress.decided(decision)
            if decision.verdict is not GateVerdict.GO_ON:
                break
        return decision, done

    def conclude(self, decision: GateDecision) -> RunResult:
        """Write what was seen, once the fleets are down, and the verdict in each of its forms."""
        arms = {(name, str(side)): self._keep(half) for (name, side), half in self._halves.items()}
        self.folder.clear_work()
        took_s = self._clock.now() - self._started_s
        return gate_folder.conclude(self.folder, self._asked, decision, arms, duration_s=took_s)

    def alone(self, blocks: int) -> list[Block]:
        """Run blocks of a single version, one after the other."""
        (side,) = self._sources
        done = []
        for number in range(1, blocks + 1):
            self.pairs += 1
            for scenario in self._scenarios:
                self._progress.block(number, blocks, scenario.name, side)
                self._renew(self._halves[scenario.name, side])
                done.append(self._block(self._halves[scenario.name, side], number, first=True))
                self.folder.append_rows(gate_folder.BLOCKS, done[-1:])
        return done

    def _check(self) -> None:
        for half in self._halves.values():
            with self._doing_of(half.side, "ended while it was needed"):
                half.fleet.check()

    def _shape(self, side: Side) -> RequestShape:
        own = self._sources[side].own
        return own.request if own else REFERENCE_SHAPE

    def _limit(self, scenario: GateScenario, side: Side) -> int:
        own = self._sources[side].own
        return own.concurrency_limit if own else scenario.fleet.concurrency_limit

    # --- pairs -------------------------------------------------------------------------
    def _pair(self, number: int) -> list[Block]:
        self.pairs += 1
        blocks = []
        for scenario in self._scenarios:
            order = order_of(self.pairs, scenario.name, self._settings.seed)
            for side in order:
                self._renew(self._halves[scenario.name, side])
            for side in order:
                self._progress.block(number, self._settings.looks[-1], scenario.name, side)
                half = self._halves[scenario.name, side]
                blocks.append(self._block(half, number, first=side is order[0]))
        self.folder.append_rows(gate_folder.BLOCKS, blocks)
        return blocks

    def _renew(self, half: _Half) -> None:
        """Start the agents anew, so that what differs from start to start is in the spread between pairs."""
        if half.start_s is not None:
            with self._doing_of(half.side, "did not start again"):
                half.fleet.renew()

    def _block(self, half: _Half, pair: int, *, first: bool) -> Block:
        """Send one block to one side. Its seed is the pair's: both sides get the same."""
        seed = self._settings.seed * 1_000_003 + self.pairs
        load = half.scenario.block(self._settings.requests + BURST)
        shape = self._shape(half.side)
        cold_answer_s = self._cold_answer_s(half.fleet, shape) if self._settings.cold else None
        half.fleet.simulator.tell("PATCH", "/sim/config", json={"seed": seed})
        arrivals = _arrivals(
            load, seed, half.scenario.name, self._run_id, self._settings.requests, prompts=shape.prompts
        )
        sent, driven, received = self._send(half, arrivals, f"{self._run_id}-{self.pairs}")
        rows = [row for row in sent if row.index >= WARM_UP]
        steady = tuple(row for row in rows if row.phase != AT_LIMIT)
        half.rows += steady
        half.start_s = half.start_s or driven.start_s
        self.folder.append_rows(run_folder.REQUESTS, rows)
        calls, called_by = calls_of_block(received, rows, sent)
        block = summarise_block(
            rows,
            calls,
            _resource_use(driven, {each.name for each in half.fleet.containers if each.left_s is None}),
            scenario=half.scenario.name,
            pair=pair,
            side=half.side,
            first=first,
            start_s=driven.start_s,
            called_by=called_by,
            warm_up=[row for row in sent if row.index < WARM_UP],
            refusals=received,
            planned=len(arrivals),
            cold_answer_s=cold_answer_s,
            streams=shape.stream,
        )
        spans = tuple(half.spans.of([row.trace_id for row in steady if row.ok]))
        told = join(ArmData(facts=self._facts(half), requests=steady, spans=spans, journal=()))
        return replace(block, figures={**block.figures, **part_figures(told.requests)})

    def _send(
        self, half: _Half, arrivals: tuple[Arrival, ...], run_id: str
    ) -> tuple[tuple[RequestRow, ...], Driven, tuple[JournalRow, ...]]:
        """Send arrivals to one side; return their rows, what they cost, and what its simulator received."""
        journal = half.fleet.journal
        journal_at = journal.stat().st_size if journal.exists() else 0
        load = half.scenario.block(len(arrivals))
        job = LoadJob(
            hosts=half.fleet.urls,
            experiment=half.scenario.name,
            arm=half.side,
            run_id=run_id,
            arrivals=arrivals,
            timeout_s=load.timeout_s,
            max_in_flight=load.max_in_flight,
            work_dir=half.work,
            log=half.log,
            request=self._shape(half.side),
        )
        with LoadChild(job, clock=self._clock) as child:
            child.start()
            driven = drive(half.fleet, child, self._clock, watch=self._check, progress=self._progress.load)
            result = child.wait()
        sent = tuple(run_folder.read_rows(result.rows, RequestRow))
        half.fleet.simulator.tell("POST", "/sim/journal/flush", json={})
        return sent, driven, tuple(run_folder.read_rows(journal, JournalRow, from_byte=journal_at))

    def _cold_answer_s(self, fleet: Fleet, shape: RequestShape) -> float | None:
        """Return how long a new container takes for its first answer; None when that is no success."""
        with fleet.aside() as container:
            with DirectCaller(container.reached_at, shape, timeout_s=COLD_TIMEOUT_S) as caller:
                session = caller.open("cold".ljust(40, "0"))
                begun_s = self._clock.monotonic()
                answer = caller.ask("The first question.", session)
                took_s = self._clock.monotonic() - begun_s
            return took_s if is_success(answer.status) else None

    def _plan(self, scenario: GateScenario, side: Side, source: Source, work: Path, logs: Path) -> FleetPlan:
        fleet = scenario.fleet.model_copy(
            update={"concurrency_limit": self._limit(scenario, side), "events": (), "autoscale": None}
        )
        return fleet_plan(
            scenario.name,
            side,
            fleet,
            scenario.simulator,
            env={**fleet.env, **source.env, **self._settings.env.get(side, {})},
            own=source.own,
            agent_command=source.argv,
            work=work,
            logs=logs,
            forward_url=self._settings.forward_url,
        )

    # --- the verdict's forms -----------------------------------------------------------
    def _keep(self, half: _Half) -> ArmData:
        """Put the spans and the journal of one side into the run folder."""
        only = {row.trace_id for row in half.rows}
        return keep(self.folder, self._facts(half), half.fleet, half.rows, only=only)

    def _facts(self, half: _Half) -> ArmFacts:
        return ArmFacts(
            experiment=half.scenario.name,
            arm=half.side,
            control=False,
            containers=half.fleet.containers,
            concurrency_limit=self._limit(half.scenario, half.side),
            policy=half.scenario.fleet.policy,
            policy_like=likeness(half.scenario.fleet.policy),
            start_s=half.start_s or self._started_s,
            end_s=max((row.end_s for row in half.rows), default=self._started_s),
            planned=len(half.rows),
            cores=usable_cores(),
        )

    @contextmanager
    def kept_if_cut_short(self) -> Iterator[None]:
        """Keep what was seen where an error or an interrupt ends the block; the fleets are down by then."""
        try:
            yield
        except BaseException:
            with suppress(AgentrigError, OSError):  # why it ended is what counts
                for half in self._halves.values():
                    if half.rows:
                        self._keep(half)
            self.folder.clear_work()
            raise

    def hand_in_client_spans(self) -> None:
        """Give the capture the client's spans, while it is still up."""
        for half in self._halves.values():
            hand_in_client_spans(half.fleet, half.rows)


def gate(
    sources: Mapping[Side, Source],
    scenarios: Sequence[GateScenario],
    settings: GateSettings,
    progress: GateProgress,
    clock: Clock,
) -> tuple[RunResult, GateDecision, RunFolder]:
    """Compare head with base.

    Raises:
        AgentrigError: a side could not be started, or died; what was measured is in the run folder.
    """
    made = Gate(sources, scenarios, settings, progress, clock)
    with made.kept_if_cut_short(), ExitStack() as stack:
        made.up(stack)
        if settings.fit_rate:
            made.fit_rate()
        decision, _ = made.decide()
        made.hand_in_client_spans()
        progress.phase("the fleets stop and hand in their spans")
    return made.conclude(decision), decision, made.folder


def self_check(
    source: Source,
    scenarios: Sequence[GateScenario],
    settings: GateSettings,
    progress: GateProgress,
    clock: Clock,
    *,
    decisions: int,
) -> list[GateDecision]:
    """Let the gate decide time and again on a version against itself; the fleets stay up meanwhile.

    Raises:
        AgentrigError: a fleet could not be started, or died.
    """
    made = Gate({Side.BASE: source, Side.HEAD: source}, scenarios, settings, progress, clock)
    with made.kept_if_cut_short(), ExitStack() as stack:
        made.up(stack)
        if settings.fit_rate:
            made.fit_rate()
        told = [made.decide()[0] for _ in range(decisions)]
    made.folder.clear_work()
    return told


def _arrivals(
    load: LoadSpec, seed: int, name: str, salt: str, requests: int, *, prompts: Sequence[str]
) -> tuple[Arrival, ...]:
    """Plan a block: so many steady arrivals, and then some more than the fleet works on, all at once."""
    planned = plan_arrivals(load, seed, name, salt, prompts)[: requests + BURST]
    steady, more = planned[:requests], planned[requests:]
    at_s = steady[-1].due_s + BURST_AFTER_S
    return (*steady, *(replace(each, due_s=at_s, phase=AT_LIMIT) for each in more))


def _resource_use(driven: Driven, containers: Collection[str]) -> ResourceUse:
    usage = driven.usage
    agents = [each for each in usage if each.name in containers]
    return ResourceUse(
        wall_s=max((each.wall_s for each in usage), default=0.0),
        cores=usable_cores(),
        all_cpu_s=sum(each.cpu_s for each in usage),
        agents_cpu_s=sum(each.cpu_s for each in agents),
        agents_rss_mb=sum(each.rss_mb for each in agents),
        others_cores=driven.others_cores,
        physical=len(allowed_cores()),
    )
