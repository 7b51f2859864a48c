"""A plan held against a real fleet: it is started here, loaded as the workload says, and compared.

What is predicted is what that very load does to that very fleet: the instants of its arrivals are known
before it begins, and what requests take is drawn from the workload, once for each replication. The interval
is that of single runs, not of their mean, and has in it how well so many requests tell a calibration what
requests take: each replication draws from a calibration of its own, on as many.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from markupsafe import Markup

from harness import __version__, machine
from harness.analysis.join import join
from harness.analysis.summary import summarise
from harness.clock import Clock
from harness.judge.verdict import neighbours
from harness.load.arrivals import plan as plan_arrivals
from harness.plan import bench, words
from harness.plan.asked import Answer
from harness.plan.estimate import Figures, figures, model_of, retry_of
from harness.plan.forecast import CheckTold, FigureTold
from harness.plan.page import page, table
from harness.plan.records import Fleet, Routing
from harness.plan.sampling import Drawn, work_of
from harness.plan.simulate import simulate
from harness.quantiles import quantile
from harness.records.calibration import RequestKind
from harness.records.history import ArmHistory, calls
from harness.records.spec import ArmSpec, CheckSpec, ExperimentSpec, FleetSpec, Policy
from harness.records.workload import Workload
from harness.report import svg
from harness.run import code, pipeline
from harness.run.fit_to_machine import MACHINE_SHARE
from harness.run.folder import Plan, RunFolder
from harness.run.formats import FORMAT
from harness.simulator_config import SimulatorConfig

INTERVAL: Final = 0.95
REPLICATIONS: Final = 199
"""One run more is equally likely to lie before, between and after these: between the fifth and the fifth last
in exactly 95 % of cases. Of forty, the ends by the usual quantiles left out every tenth run."""
MOST_CONTAINERS: Final = 8
"""Of a fleet that is started here: each is a process of some 150 MB."""
LEAST_REQUESTS: Final = 100
"""A p99 takes so many."""
MOST_POOLED: Final = 50_000
"""Where more was calibrated, what requests take is known well enough."""
ARM: Final = "planned"
HEADS: Final = ("figure", "predicted", "95 % of runs between", "measured", "off", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure: `predicted` in the median of the replications, `low` to `high` in 95 % of them."""

    name: str
    unit: str
    predicted: float
    low: float
    high: float
    measured: float

    @property
    def within(self) -> bool:
        """Whether what was measured lies in the interval."""
        return self.low <= self.measured <= self.high

    @property
    def off(self) -> float:
        """What was measured over what was predicted, as a share."""
        return self.measured / self.predicted - 1 if self.predicted else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A fleet as predicted, and as measured.

    Attributes:
        containers, limit, rate_rps: of the fleet that was started.
        planned: containers of the plan, where that is another number.
        requests: that were sent.
        figures: compared.
        doubt: why nothing can be said, None where it can.
    """

    containers: int
    limit: int
    rate_rps: float
    planned: int
    requests: int
    figures: tuple[Compared, ...]
    doubt: str | None

    @property
    def within(self) -> bool | None:
        """Whether all figures lie in their intervals; None when that can't be told."""
        return None if self.doubt else all(each.within for each in self.figures)

    @property
    def headline(self) -> str:
        """Say how it came out."""
        said = f"{self.containers} containers of limit {self.limit} at {self.rate_rps:.3g} requests/s: "
        if self.within is None:
            return f"{said}unknown, {self.doubt}."
        outside = [each.name for each in self.figures if not each.within]
        return said + ("as predicted." if not outside else f"not as predicted: {', '.join(outside)}.")

    @property
    def sentences(self) -> list[str]:
        """Say what was started."""
        if self.planned == self.containers:
            return [f"{self.requests} requests were sent to that fleet."]
        carried = f"This machine carries {self.containers} of the {self.planned} containers"
        return [
            f"{self.requests} requests were sent.",
            f"{carried}: rate and fleet were scaled alike, and predicted anew.",
        ]


def check(
    found: Answer, folder: RunFolder, progress: pipeline.Progress, clock: Clock, *, seconds: float
) -> Comparison:
    """Start the fleet of a plan, scaled to this machine, and compare.

    Args:
        found: a plan that holds.
        folder: for what is measured.
        progress: is told how far it is.
        clock: for waiting.
        seconds: that the load lasts.

    Raises:
        AgentrigError: something could not be started, or died.
    """
    best = found.best
    if best is None or best.fleet is None:
        raise ValueError("there is no fleet to check")
    rate_rps, planned = found.asked.rate_rps, best.fleet.containers
    spec = experiment(found.asked.workload, best.fleet, rate_rps, seconds=seconds)
    most_rps = carries(spec, folder, progress, clock)
    containers = max(1, min(planned, MOST_CONTAINERS, math.floor(planned * most_rps / rate_rps)))
    fleet = replace(best.fleet, containers=containers)
    workload = _scaled(found.asked.workload, containers / planned)
    return compare(
        workload,
        fleet,
        rate_rps * containers / planned,
        folder=folder,
        progress=progress,
        clock=clock,
        seconds=seconds,
        planned=planned,
    )


def carries(spec: ExperimentSpec, folder: RunFolder, progress: pipeline.Progress, clock: Clock) -> float:
    """Return how many requests/s this machine carries, all processes of a run together.

    Raises:
        AgentrigError: something could not be started, or died.
    """
    found = pipeline.measure([spec], pipeline.RunSettings(), folder, progress, clock)
    cost = found.cost(RequestKind(tools=bool(spec.simulator.tool_turns)))
    return math.inf if cost is None else MACHINE_SHARE * found.free_cores / found.all_s(cost)


def _scaled(workload: Workload, share: float) -> Workload:
    """Return a workload with the share of its quota that a part of the fleet has."""
    quota = workload.quota
    if quota is None or share >= 1:
        return workload
    tpm = None if quota.tpm is None else quota.tpm * share
    less = quota.model_copy(
        update={"rpm": quota.rpm * share, "tpm": tpm, "burst": max(1.0, quota.burst * share)}
    )
    return workload.model_copy(update={"quota": less})


def experiment(
    workload: Workload, fleet: Fleet, rate_rps: float, *, seconds: float, seed: int = 1
) -> ExperimentSpec:
    """Return what is run to measure a fleet: one arm is of it, the other is there for the form's sake."""
    policy = Policy.BUSY_AWARE if fleet.routing is Routing.SESSION else Policy(fleet.routing.value)
    load = bench.bursts(workload, rate_rps, seconds, seed)
    retries = {
        "AGENT_RETRY_MAX_ATTEMPTS": str(min(10, workload.retries.max_attempts)),
        "AGENT_RETRY_BASE_S": f"{workload.retries.base_s:g}",
    }
    return ExperimentSpec(
        name="plan-check",
        title="A plan held against a fleet",
        claim="What was predicted is what is measured.",
        seed=seed,
        fleet=FleetSpec(
            agents=min(fleet.containers, MOST_CONTAINERS),
            concurrency_limit=fleet.limit,
            policy=policy,
            balancers=min(4, fleet.balancers),
            env=retries,
        ),
        simulator=workload.simulator(seed),
        load=load.model_copy(
            update={"turns": bench.turns(workload), "turn_gap_s": min(3600.0, workload.sessions.think.mean_s)}
        ),
        arms={ARM: ArmSpec(title="as planned"), "control": ArmSpec(title="not run", control=True)},
        checks=(CheckSpec(id="no-errors", holds_in=(ARM,), caught_in=("control",)),),
    )


def compare(
    workload: Workload,
    fleet: Fleet,
    rate_rps: float,
    *,
    folder: RunFolder,
    progress: pipeline.Progress,
    clock: Clock,
    seconds: float,
    planned: int | None = None,
    seed: int = 1,
    simulator: SimulatorConfig | None = None,
) -> Comparison:
    """Predict what a load does to a fleet, start both, and measure.

    Without a `simulator` of its own the model is told by the workload, as far as it can be, and it is that
    which is predicted.

    Raises:
        AgentrigError: something could not be started, or died.
    """
    spec = experiment(workload, fleet, rate_rps, seconds=seconds, seed=seed)
    if simulator is None:
        workload = bench.as_run(workload)
    else:
        spec = spec.model_copy(update={"simulator": simulator})
    known = Plan(
        run_id=folder.path.name,
        started_s=clock.now(),
        quick=False,
        format=FORMAT,
        version=__version__,
        code=code.running(),
        machine=machine.describe(),
        salt=folder.path.name,
        experiments=(spec,),
    )
    arrivals = plan_arrivals(spec.load_of(ARM), spec.seed, spec.name, known.salt)
    progress.phase("what will that load do to this fleet?")
    predicted = predict(workload, fleet, np.array([each.due_s for each in arrivals]), seed=seed)
    folder.write_plan(known)
    progress.arm(spec.name, ARM, 1, 1, load_s=seconds, left_s=seconds)
    data = pipeline.run_arm(
        spec, ARM, plan=known, settings=pipeline.RunSettings(), folder=folder, progress=progress, clock=clock
    )
    folder.clear_work()
    return measured(join(data), predicted, fleet, rate_rps, planned or fleet.containers)


def predict(workload: Workload, fleet: Fleet, due_s: np.ndarray, *, seed: int) -> list[Figures]:
    """Return what a fleet does with requests that come at known instants, once for each replication."""
    drawn = Drawn(due_s, np.arange(len(due_s)))
    duration_s = float(due_s[-1]) if len(due_s) else 0.0
    model, retry = model_of(workload), retry_of(workload)
    known = workload.requests
    pooled = Drawn(np.zeros(known), np.arange(known)) if 0 < known <= MOST_POOLED else None
    found = []
    for number in range(REPLICATIONS):
        drawing = 1000 * seed + number
        work = work_of(workload, duration_s=duration_s, seed=drawing, due=pooled or drawn)
        if pooled is not None:  # as another calibration would have seen them, and a run of that
            work = work.drawn(np.random.default_rng(drawing).integers(0, known, len(due_s)), due_s)
        found.append(figures(work, simulate(work, fleet, model, retry, number), fleet, warm=0.0))
    return found


def measured(
    history: ArmHistory, predicted: Sequence[Figures], fleet: Fleet, rate_rps: float, planned: int
) -> Comparison:
    """Hold what was measured against what was predicted."""
    rows = [each.row for each in history.requests]
    good = [row.latency_s for row in rows if row.ok]
    span_s = max((row.end_s for row in rows), default=0.0) - min((row.due_s for row in rows), default=0.0)
    groups = calls(history.journal)
    told = {
        "p50_s": quantile(good, 0.5),
        "p95_s": quantile(good, 0.95),
        "p99_s": quantile(good, 0.99),
        "throughput_rps": len(good) / span_s if span_s > 0 else None,
        "attempts": len(history.journal) / len(groups) if groups else None,
    }
    units = {"p50_s": "s", "p95_s": "s", "p99_s": "s", "throughput_rps": "/s", "attempts": ""}
    compared = tuple(
        _compared(
            name.removesuffix("_s").removesuffix("_rps"),
            unit,
            [getattr(one, name) for one in predicted],
            value,
        )
        for name, unit in units.items()
        if (value := told[name]) is not None
    )
    doubt = _in_the_way(history)
    if len(good) < LEAST_REQUESTS:
        doubt = f"{len(good)} answers are too few for a p99; load it for longer"
    return Comparison(
        containers=fleet.containers,
        limit=fleet.limit,
        rate_rps=rate_rps,
        planned=planned,
        requests=len(rows),
        figures=compared,
        doubt=doubt,
    )


def _in_the_way(history: ArmHistory) -> str | None:
    """Say that the machine was measured and not the fleet, by the rules that a run has for it."""
    summary = summarise(history)
    said = [*summary.warnings, neighbours(ARM, summary)]
    return "; ".join(filter(None, said)) or None


def _compared(name: str, unit: str, values: Sequence[float], value: float) -> Compared:
    ranked, slack = sorted(values), SLACK[unit]
    outside = max(1, round((1 - INTERVAL) / 2 * (len(ranked) + 1)))
    low, middle, high = ranked[outside - 1], ranked[len(ranked) // 2], ranked[-outside]
    return Compared(
        name=name, unit=unit, predicted=middle, low=low * (1 - slack), high=high * (1 + slack), measured=value
    )


SLACK: Final = {"s": 0.02, "/s": 0.01, "": 0.005}
"""An interval without width, as of attempts where nothing is refused, gets this share of its value."""


def rows(compared: Comparison) -> Iterator[tuple[str, ...]]:
    """Yield the table."""
    for each in compared.figures:
        yield (
            each.name,
            _written(each.predicted, each.unit),
            f"{_written(each.low, each.unit)} to {_written(each.high, each.unit)}",
            _written(each.measured, each.unit),
            f"{each.off:+.1%}",
            "" if each.within else "outside",
        )


def _written(value: float, unit: str) -> str:
    return words.seconds(value) if unit == "s" else f"{value:.3g}{unit}"


def to_html(compared: Comparison) -> str:
    """Write the page of a comparison."""
    body = [
        svg.element("h1", compared.headline, class_="pass" if compared.within else "unknown"),
        *(svg.element("p", each) for each in compared.sentences),
        svg.element("div", table(HEADS, list(rows(compared))), class_="scroll"),
    ]
    return page("agentrig plan --check", [Markup(each) for each in body])  # noqa: S704 - made of elements


def record(compared: Comparison) -> CheckTold:
    """Return a comparison for programs."""
    return CheckTold(
        containers=compared.containers,
        planned=compared.planned,
        limit=compared.limit,
        rate_rps=compared.rate_rps,
        requests=compared.requests,
        within=compared.within,
        doubt=compared.doubt,
        figures={
            each.name: FigureTold(
                predicted=each.predicted,
                low=each.low,
                high=each.high,
                measured=each.measured,
                within=each.within,
            )
            for each in compared.figures
        },
    )
