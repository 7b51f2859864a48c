"""The one page that calls every stage in order.

    spec -> fleet up -> load -> capture -> analysis -> judge -> report

Stages never import one another. What one hands to the next is a frozen record or a file
of the run folder, and each file is written as its stage ends, so that a later failure
loses nothing.
"""

from __future__ import annotations

import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol, TypeVar

from harness import __version__, machine
from harness.analysis.join import join
from harness.analysis.series import series
from harness.analysis.summary import summarise
from harness.capture import decode
from harness.capture.ready import ReadyWatch
from harness.capture.scrape import Scraper
from harness.capture.watch import Watching
from harness.clock import Clock
from harness.contract import READYZ
from harness.errors import AgentrigError, InputError
from harness.experiment.load import Known
from harness.experiment.scale import backoff_slowed
from harness.fleet.installed import known_policies, likeness
from harness.fleet.opening import opened, require
from harness.fleet.where import Where
from harness.judge.verdict import combine, judge, known_checks
from harness.load.arrivals import phases
from harness.load.arrivals import plan as plan_arrivals
from harness.load.job import ROWS
from harness.load.launcher import LoadChild, LoadJob, LoadProgress
from harness.machine import usable_cores
from harness.outside.secrets import hidden
from harness.process.uninterrupted import uninterrupted
from harness.ramp import RampLimits
from harness.records.calibration import Calibration, RequestKind
from harness.records.history import ArmData, ArmHistory
from harness.records.outcome import ArmSeries, ArmSummary, CheckResult, ExperimentResult, Outcome, RunResult
from harness.records.seen import JournalRow, MetricPoint, Span
from harness.records.sent import RequestRow
from harness.records.setup import ArmFacts, Window
from harness.records.spec import ExperimentSpec
from harness.records.weather import RestoredCopy
from harness.report.html import to_html
from harness.report.jaeger import to_jaeger
from harness.report.junit import to_junit
from harness.report.markdown import to_markdown
from harness.report.verdict_json import to_json
from harness.run import again, code, restoring, trial
from harness.run import folder as run_folder
from harness.run.arm import (
    Driven,
    drive,
    fleet_plan,
    hand_in_client_spans,
    handshakes,
    keep,
    log_ends,
    unserved,
)
from harness.run.calibrate import calibrate
from harness.run.fit_to_machine import fitted, kinds, scaled_by_hand
from harness.run.folder import Plan, RunFolder
from harness.run.formats import FORMAT
from harness.run.held_watch import HeldWatch, interval_s
from harness.simulator.installed import known_faults, known_protocols
from harness.under_test import AgentUnderTest, RequestShape
from harness.weather.kinds import (
    known_weather,
    weather_of_ours,
    weather_of_store,
    weather_only,
    weather_spreads,
    weather_takes,
    weather_undone,
)

AROUND_LOAD_S = 9.0
"""What an arm takes beside its load on a fast machine, about: its fleet starts, stops, and is analysed."""
AFTER_LOAD_S = 4.0
"""What of that comes after the load."""
SCRAPE_S = 0.5
SCRAPED = ("agentrig_inflight", "agentrig_busy")


class Progress(Protocol):
    """Who is told how far a run is."""

    def calibrated(
        self, calibration: Calibration, specs: Sequence[ExperimentSpec], as_written: Sequence[ExperimentSpec]
    ) -> None:
        """It is known what a request costs here; `specs` are the experiments as they will run."""
        ...

    def arm(self, experiment: str, arm: str, number: int, of: int, *, load_s: float, left_s: float) -> None:
        """Arm `number` of `of` begins; its load will last about `load_s`, and the whole run `left_s`."""
        ...

    def phase(self, text: str) -> None:
        """Something that takes a while begins."""
        ...

    def load(self, progress: LoadProgress, elapsed_s: float) -> None:
        """The load goes on."""
        ...

    def arm_judged(self, experiment: str, arm: str, checks: Sequence[CheckResult]) -> None:
        """An arm is over: what could be told of it already."""
        ...

    def judged(self, result: ExperimentResult) -> None:
        """An experiment has its verdict."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a run is to be made.

    Attributes:
        out: the run folder, None for a new one under `runs/`.
        quick: whether to run each experiment's short form.
        jaeger_url: address of Jaeger's page, for links.
        forward_url: OTLP/HTTP base address that gets a copy of all telemetry.
        agent_command: what starts an agent in place of the reference agent's own command.
        own: the user's agent, for arms that are of it.
        rate_scale: what all rates are multiplied by, None for what fits this machine.
        calibration: what a request costs on this machine, None to measure it first.
        salt: in the names of sessions and the canary words, None for the run's own id: so they are new to an
            agent that remembers earlier runs.
        on: where the containers of its fleets run.
        arms: the names of those that run, None for all; of the others, no check is made.
    """

    out: Path | None = None
    quick: bool = False
    jaeger_url: str | None = None
    forward_url: str | None = None
    agent_command: tuple[str, ...] | None = None
    own: AgentUnderTest | None = None
    rate_scale: float | None = None
    calibration: Calibration | None = None
    salt: str | None = None
    on: Where = Where.LOCAL
    arms: Collection[str] | None = None

    def run_of(self, spec: ExperimentSpec) -> list[str]:
        """Return the names of the arms of an experiment that run."""
        return [name for name in spec.arms if self.arms is None or name in self.arms]


def known() -> Known:
    """Collect the names that an experiment may use.

    Raises:
        InputError: an installed package adds one that is taken.
    """
    names = Known(
        checks=known_checks(),
        faults=known_faults(),
        weather=known_weather(),
        weather_of_store=weather_of_store(),
        weather_only=weather_only(),
        weather_spreads=weather_spreads(),
        weather_takes=weather_takes(),
        weather_undone=weather_undone(),
        weather_of_ours=weather_of_ours(),
        protocols=known_protocols(),
        policies=known_policies(),
    )
    for each in (names.checks, names.faults, names.protocols, names.policies):
        len(each)  # a taken name is told whichever of the two is meant
    return names


def run(
    specs: Sequence[ExperimentSpec], settings: RunSettings, progress: Progress, clock: Clock
) -> tuple[RunResult, RunFolder]:
    """Run experiments and judge them.

    Returns:
        The verdict, and the folder that holds it and its evidence.

    Raises:
        InputError: an arm is of the user's own agent, and none was given; or a name holds a secret.
        AgentrigError: something could not be started, or died; what was measured until
            then is in the run folder.
    """
    require_fleets(specs, settings)  # before anything is started
    run_id = run_folder.new_run_id(clock.now(), os.urandom(2).hex())
    folder = RunFolder.create(settings.out, run_id)
    plan = Plan(
        run_id=run_id,
        started_s=clock.now(),
        quick=settings.quick,
        format=FORMAT,
        version=__version__,
        code=code.running(),
        machine=machine.describe(),
        jaeger_url=settings.jaeger_url,
        salt=run_id if settings.salt is None else settings.salt,
        on=settings.on.kind,
        experiments=tuple(spec.quickened() for spec in specs) if settings.quick else tuple(specs),
    )
    folder.write_plan(plan)
    plan = fit(plan, settings, folder, progress, clock)
    _try_own(plan, settings, folder, progress, clock)
    guess_s = plan.calibration.start_s + AFTER_LOAD_S if plan.calibration else AROUND_LOAD_S
    seen_s: list[float] = []  # what arms took around their loads
    results: list[ExperimentResult] = []
    pictures: dict[tuple[str, str], ArmSeries] = {}
    arms = [(spec, name) for spec in plan.experiments for name in settings.run_of(spec)]
    goes_left = again.most(quick=settings.quick)
    try:
        for spec in plan.experiments:
            histories, summaries = dict[str, ArmHistory](), dict[str, ArmSummary]()
            for name in settings.run_of(spec):
                number = arms.index((spec, name))
                around_s = statistics.fmean(seen_s or [guess_s])
                left_s = sum(each.load_of(arm).length_s + around_s for each, arm in arms[number:])
                load_s, begun_s = spec.load_of(name).length_s, clock.monotonic()
                progress.arm(spec.name, name, number + 1, len(arms), load_s=load_s, left_s=left_s)
                run_it = partial(
                    run_arm, spec, name, settings=settings, folder=folder, progress=progress, clock=clock
                )
                before = folder.sizes()
                histories[name] = join(run_it(plan=plan))
                summaries[name] = summarise(histories[name])
                checks, spoiled = told_so_far(spec, name, histories, summaries)
                seen_s.append(max(0.0, clock.monotonic() - begun_s - load_s))
                if goes_left and spoiled is not None:
                    goes_left -= 1
                    progress.phase(f"again, for {spoiled}")
                    folder.shorten(before)
                    folder.clear_work()  # the sessions that it kept there, too
                    histories[name] = join(run_it(plan=_renamed(plan), first_run=spoiled))
                    summaries[name] = summarise(histories[name])
                    checks, _ = told_so_far(spec, name, histories, summaries)
                progress.arm_judged(spec.name, name, checks)
            result, drawn = conclude(spec, histories, summaries)
            results.append(result)
            pictures |= drawn
            progress.judged(result)
    finally:
        folder.clear_work()
    return report(plan, results, pictures, folder, clock.now() - plan.started_s), folder


def require_fleets(specs: Sequence[ExperimentSpec], settings: RunSettings) -> None:
    """Look whether there can be what some experiments ask for.

    Raises:
        InputError: there can't; or an arm is of the user's own agent, and none was given; or a name holds a
            secret.
    """
    for spec in specs:
        for arm in spec.arms:
            require(settings.on, f"{spec.name}, arm {arm}", spec.fleet_of(arm), _own(spec, arm, settings))
    _keep_names(specs)


def _renamed(plan: Plan) -> Plan:
    """Return a plan whose sessions, words and requests are new to an agent that remembers those of before."""
    return plan.model_copy(update={"run_id": f"{plan.run_id}.2", "salt": f"{plan.salt}.2"})


def _try_own(plan: Plan, settings: RunSettings, folder: RunFolder, progress: Progress, clock: Clock) -> None:
    """Ask the user's agent once before any load, unless the calibration did: do its model calls come?

    Raises:
        AgentrigError: they don't, or it could not be started.
    """
    own, calibration = settings.own, plan.calibration
    asked = any(arm.agent == "yours" for spec in plan.experiments for arm in spec.arms.values())
    if own is None or not asked or not trial.can_be_seen(own):
        return
    if calibration is None or not any(cost.kind.agent == "yours" for cost in calibration.costs):
        progress.phase("your agent is asked once: do its model calls come to the simulator?")
        try:
            trial.require_call(own, trial.try_agent(own, folder, clock, on=settings.on))
        finally:
            folder.clear_work()


def fit(plan: Plan, settings: RunSettings, folder: RunFolder, progress: Progress, clock: Clock) -> Plan:
    """Measure what requests cost here, and scale what is asked until the machine is not what limits it.

    Raises:
        AgentrigError: something could not be started, or died.
    """
    if settings.rate_scale is None and settings.calibration is None:
        found = measure(plan.experiments, settings, folder, progress, clock)
        settings = replace(settings, calibration=found)
    specs = tuple(as_run(spec, settings) for spec in plan.experiments)
    if (calibration := settings.calibration) is not None:
        progress.calibrated(calibration, specs, plan.experiments)
    fits = plan.model_copy(update={"experiments": specs, "calibration": calibration})
    folder.write_plan(fits)
    return fits


def as_run(spec: ExperimentSpec, settings: RunSettings) -> ExperimentSpec:
    """Return an experiment as it is run: at rates that were chosen, or that fit the machine."""
    if settings.rate_scale is not None:
        return scaled_by_hand(spec, settings.rate_scale)
    return spec if settings.calibration is None else fitted(spec, settings.calibration)


def measure(
    specs: Sequence[ExperimentSpec],
    settings: RunSettings,
    folder: RunFolder,
    progress: Progress,
    clock: Clock,
) -> Calibration:
    """Measure what the requests of some experiments cost on this machine.

    Raises:
        AgentrigError: something could not be started, or died.
    """
    progress.phase("what does a request cost on this machine? A small fleet is asked, for a minute or so")
    elsewhere = settings.own is not None and bool(settings.own.addresses)  # what it costs there, nobody sees
    asked = [kind for kind in kinds(specs) if kind.agent == "reference" or not elsewhere]
    try:
        return calibrate(
            asked or [RequestKind()],
            folder,
            clock,
            own=settings.own,
            agent_command=settings.agent_command,
            on=settings.on,
        )
    finally:
        folder.clear_work()


def judge_saved(path: Path, *, write: bool = False) -> tuple[RunResult, RunFolder]:
    """Judge a saved run again, from its files alone.

    Args:
        path: the run folder.
        write: whether to write the verdict and the report anew; else nothing of the folder is touched.

    Raises:
        InputError: there is no run in `path`, or a file of it is damaged.
    """
    folder = RunFolder.open(path)
    plan = folder.plan()
    saved = read_arms(folder)
    if not saved:
        raise InputError(
            f"{path}: holds a plan and no data: the run ended before its first arm did. Run it again."
        )
    ended_s = max(data.facts.end_s for data in saved.values())
    results: list[ExperimentResult] = []
    pictures: dict[tuple[str, str], ArmSeries] = {}
    for spec in plan.experiments:
        # what is joined is let go of: a history has all of it that is looked at
        histories = {name: join(saved.pop(at)) for name in spec.arms if (at := (spec.name, name)) in saved}
        result, drawn = conclude(spec, histories)
        results.append(result)
        pictures |= drawn
    duration_s = ended_s - plan.started_s
    return report(plan, results, pictures, folder if write else None, duration_s), folder


# --- one arm ---------------------------------------------------------------------------
def run_arm(
    spec: ExperimentSpec,
    arm: str,
    *,
    plan: Plan,
    settings: RunSettings,
    folder: RunFolder,
    progress: Progress,
    clock: Clock,
    first_run: str | None = None,
) -> ArmData:
    """Start a fleet, send it the load, stop it, and keep all that was seen, also where it was cut short.

    `first_run` is what got in the way of an earlier run of it, see `ArmFacts`.
    """
    work, logs = folder.work(spec.name, arm), folder.logs(spec.name, arm)
    load_spec = spec.load_of(arm)
    own = _own(spec, arm, settings)
    prompts = own.request.prompts if own else ()
    arrivals = plan_arrivals(load_spec, spec.seed, spec.name, plan.salt, prompts)
    asked = spec.fleet_of(arm)
    planned = fleet_plan(
        spec.name,
        arm,
        asked,
        spec.simulator,
        env=asked.env,
        own=own,
        agent_command=settings.agent_command,
        work=work,
        logs=logs,
        seed=spec.seed,
        forward_url=settings.forward_url,
        run_id=plan.run_id,
    )
    fleet = opened(planned, settings.on, clock=clock, on_phase=progress.phase)

    def scraped() -> dict[str, str]:
        return {c.name: f"http://{c.reached_at}" for c in fleet.containers if c.left_s is None}

    how = Watching(experiment=spec.name, arm=arm, interval_s=SCRAPE_S, clock=clock)
    scraper = Scraper(scraped, how, prefixes=SCRAPED)
    ready = own.ready if own else READYZ
    watched = asked.store == "redis" or bool(asked.weather)
    ready_watch = ReadyWatch(
        lambda: {name: url + ready for name, url in scraped().items()} if watched else {}, how
    )
    held_watch = HeldWatch(
        fleet.held, fleet.store_bytes, scraped, replace(how, interval_s=interval_s(load_spec.length_s))
    )
    counted: list[MetricPoint] = []
    copies: list[RestoredCopy] = []

    def kept(driven: Driven, **facts: Any) -> ArmData:
        with uninterrupted():
            rows = tuple(run_folder.read_rows(work / ROWS, RequestRow, left_out=folder.left_out))
            folder.append_rows(run_folder.REQUESTS, rows)
            known = _facts(spec, arm, rows=rows, driven=driven)
            known = replace(
                known,
                containers=fleet.containers,
                events=fleet.events,
                windows=(*known.windows, *fleet.windows),
                connections=fleet.connections,
                restored=tuple(copies),
                first_run=first_run,
                image=fleet.image,
                **facts,
            )
            return keep(
                folder,
                known,
                fleet,
                rows,
                metrics=(*scraper.points(), *ready_watch.points(), *held_watch.points(), *counted),
            )

    load: LoadChild | None = None
    try:
        with fleet:
            if asked.restored:
                progress.phase("the containers are warmed, and restored from one snapshot")
                copies += restoring.restore(
                    fleet, own.request if own else RequestShape(), clock, limit=asked.concurrency_limit
                )
            job = LoadJob(
                hosts=fleet.urls,
                experiment=spec.name,
                arm=arm,
                run_id=plan.run_id,
                arrivals=arrivals,
                timeout_s=load_spec.timeout_s,
                max_in_flight=load_spec.max_in_flight,
                work_dir=work,
                log=logs / "locust.log",
                request=own.request if own else RequestShape(stream=load_spec.leave_share > 0),
                ramp=RampLimits(ramp.p99_ms, ramp.error_ratio) if (ramp := load_spec.ramp) else None,
            )
            with LoadChild(job, clock=clock) as load, scraper, ready_watch, ExitStack() as soak:
                if asked.soaked:
                    soak.enter_context(held_watch)
                progress.phase("the load gets ready")
                load.start()
                driven = drive(fleet, load, clock, watch=fleet.step, progress=progress.load)
                result = load.wait()
            counted.append(handshakes(fleet, spec.name, arm, clock))
            elsewhere = unserved(fleet)
            ends = log_ends(fleet) if own else {}
            hand_in_client_spans(fleet, tuple(run_folder.read_rows(result.rows, RequestRow)))
            progress.phase("the fleet stops and hands in its spans")
    except BaseException:
        if load is not None and load.begun_s is not None:
            cut_short = Driven(start_s=load.begun_s, usage=(), others_cores=0.0)
            with suppress(AgentrigError, OSError):  # why it ended is what counts
                kept(cut_short, others_cores=None, planned=len(arrivals))
        raise
    others_cores = driven.others_cores if _is_accounted(own) else None
    return kept(
        driven,
        others_cores=others_cores,
        planned=result.planned,
        dropped=result.dropped,
        unserved=elsewhere,
        outside=fleet.outside,
        log_ends=ends,
    )


def _is_accounted(own: AgentUnderTest | None) -> bool:
    """Return whether the CPU time of the containers is known: an image's is taken for a neighbour's."""
    return own is None or (own.killable and not own.addresses)


def _own(spec: ExperimentSpec, arm: str, settings: RunSettings) -> AgentUnderTest | None:
    """Return the user's agent where an arm is of it.

    Raises:
        InputError: no agent of the user's was given.
    """
    if spec.arms[arm].agent == "reference":
        return None
    if settings.own is None:
        raise InputError(
            f"{spec.name}: arm {arm} is of your own agent: describe it in agentrig.toml (`agentrig init` "
            "writes one), and give it with --agent."
        )
    return settings.own


def _keep_names(specs: Sequence[ExperimentSpec]) -> None:
    """See to it that no name is hidden, or that of two: what belongs together would not be found any more.

    Raises:
        InputError: a secret is part of a name, or two experiments have the same.
    """
    for name, times in Counter(spec.name for spec in specs).items():
        if times > 1:
            raise InputError(f"{name}: {times} experiments are called so. Give each a name of its own.")
    for spec in specs:
        for name in (spec.name, *spec.arms):
            if (shown := hidden(name)) != name:
                raise InputError(
                    f"{shown}: the name of an experiment or an arm holds a secret of your agentrig.toml, and "
                    "secrets are hidden in all files. Rename it, or give another secret."
                )


def _facts(
    spec: ExperimentSpec,
    arm: str,
    *,
    rows: Sequence[RequestRow],
    driven: Driven,
) -> ArmFacts:
    quota, ramp, fleet = spec.simulator.quota, spec.load.ramp, spec.fleet_of(arm)
    faults = (
        Window(kind="fault", name=rule.kind, from_s=rule.window_s[0], to_s=rule.window_s[1])
        for rule in spec.simulator.faults
        if rule.window_s is not None and not rule.lasting  # what stays with single calls clears for nobody
    )
    return ArmFacts(
        experiment=spec.name,
        arm=arm,
        control=spec.arms[arm].control,
        containers=(),
        concurrency_limit=fleet.concurrency_limit,
        policy=fleet.policy,
        policy_like=likeness(fleet.policy),
        balancers=fleet.balancers,
        start_s=driven.start_s,
        end_s=max((row.end_s for row in rows), default=driven.start_s),
        quota_rps=quota.rpm / 60 if quota else None,
        quota_burst=quota.burst if quota else None,
        usage=driven.usage,
        cores=usable_cores(),
        others_cores=driven.others_cores,
        windows=(*phases(spec.load_of(arm)), *faults),
        backoff_slowed=backoff_slowed(spec, arm),
        ramp_p99_ms=ramp.p99_ms if ramp else None,
        ramp_error_ratio=ramp.error_ratio if ramp else None,
    )


# --- the run folder --------------------------------------------------------------------
def read_arms(folder: RunFolder) -> dict[tuple[str, str], ArmData]:
    """Read back every arm that a run folder holds.

    Raises:
        InputError: a file of it is damaged, or it says in two ways how an arm was set up.
    """
    requests = _by_arm(folder.rows(run_folder.REQUESTS, RequestRow))
    journal = _by_arm(folder.rows(run_folder.JOURNAL, JournalRow))
    metrics = _by_arm(folder.rows(run_folder.METRICS, MetricPoint))
    spans: dict[tuple[object, object], list[Span]] = defaultdict(list)
    for span in decode.spans(folder.lines(run_folder.SPANS)):
        told = span.resource
        spans[told.get("agentrig.experiment"), told.get("agentrig.arm")].append(span)
    found = dict[tuple[str, str], ArmData]()
    for facts in folder.rows(run_folder.ARMS, ArmFacts):
        arm = facts.experiment, facts.arm
        if arm in found and found[arm].facts != facts:
            raise InputError(
                f"{folder.path / run_folder.ARMS}: says in two ways how {facts.arm} of {facts.experiment} "
                "was set up. Which of them its requests are of is not known: run it again."
            )
        found[arm] = ArmData(
            facts=facts,
            requests=tuple(requests[arm]),
            spans=tuple(spans[arm]),
            journal=tuple(journal[arm]),
            metrics=tuple(metrics[arm]),
        )
    return found


class _OfArm(Protocol):
    """A record that says where it belongs."""

    @property
    def experiment(self) -> str: ...

    @property
    def arm(self) -> str: ...


OfArm = TypeVar("OfArm", bound=_OfArm)


def _by_arm(rows: Iterable[OfArm]) -> dict[tuple[str, str], list[OfArm]]:
    found: dict[tuple[str, str], list[OfArm]] = defaultdict(list)
    for row in rows:
        found[row.experiment, row.arm].append(row)
    return found


# --- verdict and report ----------------------------------------------------------------
def told_so_far(
    spec: ExperimentSpec, arm: str, histories: Mapping[str, ArmHistory], summaries: Mapping[str, ArmSummary]
) -> tuple[tuple[CheckResult, ...], str | None]:
    """Judge what one arm can tell, while others are still to run: a first answer is there early.

    Args:
        spec: its experiment.
        arm: the one that ran last.
        histories: of it, and of those that ran before it: some of its checks compare it with one of these.
        summaries: of the same arms.

    Returns:
        The checks of it that have a verdict, and what on the machine keeps others of it from one.
    """
    checks = judge(_about(spec, arm), histories, summaries).checks
    told = tuple(check for check in checks if check.verdict in {Outcome.PASS, Outcome.FAIL})
    return told, again.spoiled(spec, arm, summaries[arm], checks)


def _about(spec: ExperimentSpec, arm: str) -> ExperimentSpec:
    """Return an experiment with the checks of one arm alone."""
    about = [
        check.model_copy(
            update={
                "holds_in": tuple(name for name in check.holds_in if name == arm),
                "caught_in": tuple(name for name in check.caught_in if name == arm),
            }
        )
        for check in spec.checks
        if arm in {*check.holds_in, *check.caught_in}
    ]
    return spec.model_copy(update={"checks": tuple(about)})


def conclude(
    spec: ExperimentSpec,
    histories: Mapping[str, ArmHistory],
    summaries: Mapping[str, ArmSummary] | None = None,
) -> tuple[ExperimentResult, dict[tuple[str, str], ArmSeries]]:
    """Judge one experiment, and gather what its report draws; where no summaries are given, they are made."""
    if summaries is None:
        summaries = {arm: summarise(history) for arm, history in histories.items()}
    result = judge(spec, histories, summaries)
    evidence = {
        arm: [trace for check in result.checks if check.arm == arm for trace in check.traces]
        for arm in histories
    }
    drawn = {(spec.name, arm): series(history, evidence[arm]) for arm, history in histories.items()}
    return result, drawn


def report(
    plan: Plan,
    results: Iterable[ExperimentResult],
    pictures: Mapping[tuple[str, str], ArmSeries],
    folder: RunFolder | None,
    duration_s: float,
) -> RunResult:
    """Combine the experiments' verdicts, and write that in each of its forms where a folder is given."""
    experiments = tuple(results)
    result = RunResult(
        run_id=plan.run_id,
        verdict=combine(experiments),
        started_s=plan.started_s,
        duration_s=duration_s,
        quick=plan.quick,
        experiments=experiments,
        version=plan.version,
        jaeger_url=plan.jaeger_url,
    )
    if folder is not None:
        write_reports(result, pictures, folder)
    return result


def write_reports(
    result: RunResult,
    pictures: Mapping[tuple[str, str], ArmSeries],
    folder: RunFolder,
    *,
    markdown: str | None = None,
) -> None:
    """Write a verdict for programs, for CI, for a pull request, for Jaeger's page and for people.

    Args:
        result: the verdict.
        pictures: what the page draws, by experiment and arm.
        folder: that gets it.
        markdown: what a pull request is told, where that is not what the verdict makes of itself.
    """
    folder.write("verdict.json", to_json(result))
    folder.write("junit.xml", to_junit(result))
    folder.write("summary.md", to_markdown(result) if markdown is None else markdown)
    by_rank = zip_longest(*(drawn.kept for drawn in pictures.values()), fillvalue=())
    traced = sum(drawn.traced for drawn in pictures.values())
    folder.write("traces.json", to_jaeger((each for rank in by_rank for each in rank if each), of=traced))
    folder.write("report.html", to_html(result, pictures))
