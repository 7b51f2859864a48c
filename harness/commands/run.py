"""`agentrig run`, and what looks at a saved run again: `judge`, `report`, `list`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from harness.asking.described import find
from harness.clock import Clock, SystemClock
from harness.commands.console import (
    EXIT,
    AsJson,
    JaegerUrl,
    OnWhere,
    OtlpUrl,
    OutFolder,
    OwnAgentFile,
    Quiet,
    finish,
    jaeger_addresses,
    otlp_address,
    out,
    print_error,
    tell_left_out,
)
from harness.commands.inside import IMAGE, Asked, BenchImage, Inside, require, run_inside
from harness.commands.progress import TerminalProgress
from harness.errors import InputError
from harness.experiment.coverage import CheckCoverage, Place, coverage
from harness.experiment.load import OWN, WHEN_NAMED, catalogue, default_experiments, load
from harness.experiment.soak import lengthened
from harness.fleet.opening import placed
from harness.fleet.where import Where
from harness.gate.marker import is_gate
from harness.judge.verdict import worst_of
from harness.own.config import OwnAgent, read
from harness.own.fit_to_agent import fit
from harness.plan.bench import shaped
from harness.plan.files import read_workload
from harness.records.outcome import RunResult
from harness.records.spec import ExperimentSpec
from harness.report.terminal import summary
from harness.run import pipeline
from harness.run.folder import RunFolder
from harness.run.matrix import folder_of, overview, run_matrix
from harness.under_test import AgentUnderTest

SCALE_FROM, SCALE_TO = 0.1, 10.0


Experiments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[EXPERIMENT|FILE.toml]...",
        help="Names from `agentrig list`, or TOML files; "
        f"all but {', '.join(WHEN_NAMED)} when none is given.",
        autocompletion=lambda incomplete: [
            name for name in (*catalogue(), *OWN) if name.startswith(incomplete)
        ],
    ),
]


RunPath = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A folder that `agentrig run` or `agentrig gate` wrote.",
        autocompletion=lambda incomplete: [
            str(plan.parent)
            for plan in (*Path().glob("runs/*/plan.json"), *Path().glob("runs/*/gate.json"))
            if str(plan.parent).startswith(incomplete)
        ],
    ),
]


def run(
    experiments: Experiments = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="The short form of each experiment.")] = False,
    full: Annotated[
        bool,
        typer.Option("--full", help="Every cell of the matrix of one experiment; goes on in the same --out."),
    ] = False,
    out_dir: OutFolder = None,
    agent: OwnAgentFile = None,
    on: OnWhere = Where.LOCAL,
    jaeger: JaegerUrl = None,
    otlp: OtlpUrl = None,
    seed: Annotated[int | None, typer.Option(help="Another seed for arrivals, latencies and faults.")] = None,
    rate_scale: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Multiply all rates by X, 0.1 to 10; what fits this machine is found out by default.",
        ),
    ] = None,
    workload: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Load and model behave as this workload.toml (`agentrig calibrate`) says."
        ),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(metavar="H", help="How long the load of a soak lasts; ten minutes by default."),
    ] = None,
    salt: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Name sessions and canary words by TEXT, such as the `salt` of a plan.json, not by the run.",
        ),
    ] = None,
    inside: Inside = False,
    bench_image: BenchImage = IMAGE,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run experiments on a real fleet and judge them.

    In a folder with an agentrig.toml (`agentrig init` writes one) your own agent is asked.

    Examples:
    `agentrig run --quick`
    `agentrig run cold-start throttling --out proof`
    `agentrig run my-experiment.toml --jaeger http://localhost:16686`
    `agentrig run --quick --on docker`
    `agentrig run --quick --on kubernetes --inside`
    """
    require(on, inside=inside, full=full, bench_image=bench_image)
    page, of_jaeger = jaeger_addresses(jaeger)
    forward_url = otlp_address(otlp, of_jaeger)
    known = pipeline.known()
    file = agent or find(Path())
    specs = [
        load(word, known) for word in dict.fromkeys(experiments or default_experiments(own=file is not None))
    ]
    under_test = described = None
    if file:
        described = read(file)
        under_test = placed(described.under_test(file.parent), on)
        specs, left_out = _fitted(specs, under_test, described)
        for sentence in left_out if not inside else ():  # the run there says the same
            print_error(sentence)
    if seed is not None:
        specs = [spec.seeded(seed) for spec in specs]
    if workload is not None:
        told = read_workload(workload)
        specs = [shaped(spec, told) for spec in specs]
    if hours is not None:
        specs = [lengthened(spec, hours) for spec in specs]
    if rate_scale is not None and not SCALE_FROM <= rate_scale <= SCALE_TO:
        raise InputError(f"--rate-scale {rate_scale:g}: give a number from {SCALE_FROM:g} to {SCALE_TO:g}.")
    settings = pipeline.RunSettings(
        out=out_dir,
        quick=quick,
        jaeger_url=page,
        forward_url=forward_url,
        own=under_test,
        rate_scale=rate_scale,
        salt=salt,
        on=on,
    )
    clock = SystemClock()
    if inside:
        pipeline.require_fleets(specs, settings)
        asked = Asked(
            experiments=experiments or (),
            options={
                "--quick": quick,
                "--jaeger": jaeger,
                "--otlp": otlp,
                "--seed": seed,
                "--rate-scale": rate_scale,
                "--hours": hours,
                "--salt": salt,
                "--quiet": quiet,
            },
            agent=(file, described) if file and described else None,
            workload=workload,
        )
        run_inside(asked, on, image=bench_image, out_dir=out_dir, as_json=as_json, quiet=quiet, clock=clock)
    console = Console(stderr=as_json, quiet=quiet)
    progress = TerminalProgress(console, clock.monotonic)
    if full:
        if as_json:
            raise InputError("--full has no --json: each cell has a verdict.json of its own, under --out.")
        run_full(specs, settings, progress, clock)
    with progress:
        result, folder = pipeline.run(specs, settings, progress, clock)
    finish(result, folder, as_json=as_json)


def _fitted(
    specs: list[ExperimentSpec], own: AgentUnderTest, described: OwnAgent
) -> tuple[list[ExperimentSpec], list[str]]:
    """Return what of some experiments can be asked of a user's agent, and a sentence for what can't."""
    specs, left_out = fit(specs, own, described.limits)
    if "concurrency_limit" not in described.agent.model_fields_set:
        left_out.append(
            f"agent.concurrency_limit is not given: {own.concurrency_limit} is taken; an agent "
            "without a limit works on more, and that is found."
        )
    return specs, left_out


def run_full(
    specs: Sequence[ExperimentSpec], settings: pipeline.RunSettings, progress: TerminalProgress, clock: Clock
) -> NoReturn:
    """Run the matrix of one experiment, tell how its cells came out, and exit with the worst's code."""
    with_matrix = [spec.name for spec in specs if spec.matrix]
    if len(specs) != 1 or not with_matrix:
        raise InputError(
            "--full takes one experiment that has a matrix; these have one: "
            f"{', '.join(with_matrix) or 'none of those named'}."
        )
    if settings.quick:
        raise InputError("--full and --quick contradict each other: give one of them.")
    spec = specs[0]
    try:
        with progress:
            cells = run_matrix(spec, settings, progress, clock)
    except ValueError as error:
        raise InputError(f"{spec.name}: {error}") from error
    out.print(overview(cells, folder_of(spec, settings)), crop=False)
    raise typer.Exit(EXIT[worst_of(result.verdict for _, result in cells)])


def judge(
    run_path: RunPath,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what verdict.json holds, nothing else.")
    ] = False,
) -> None:
    """Judge a saved run again, from its files alone, and write nothing: it may be somebody else's.

    Example: `agentrig judge runs/20260101-120000-ab12`.
    """
    result, folder = _judged(run_path, write=False)
    finish(result, folder, as_json=as_json)


def _judged(run_path: Path, *, write: bool) -> tuple[RunResult, RunFolder]:
    """Judge a folder of `agentrig run`, or one of `agentrig gate`."""
    if is_gate(run_path):
        from harness.gate import folder as gate_folder  # noqa: PLC0415 - no run needs what it loads

        result, _, folder = gate_folder.judge_saved(run_path, write=write)
    else:
        result, folder = pipeline.judge_saved(run_path, write=write)
    return result, folder


def report(run_path: RunPath) -> None:
    """Write the verdict and report of a saved run anew, and say where. Exits 0 whatever the verdict.

    Example: `agentrig report runs/20260101-120000-ab12`.
    """
    result, folder = _judged(run_path, write=True)
    tell_left_out(folder)
    out.print(summary(result, folder.path / "report.html"), crop=False)


def list_experiments(
    *,
    checks: Annotated[
        bool, typer.Option("--checks", help="The checks in their place: where each holds, and is caught.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the experiments, those for your own agent (own-*) among them, or the checks that they make.

    With `--checks`: in which arms each must hold, and in which control arms it must be found failing; those
    that `--quick` leaves out stand in brackets.
    """
    known = pipeline.known()
    if checks:
        found = coverage(known.checks, (load(name, known) for name in (*catalogue(), *OWN)))
        if as_json:
            out.print_json(json.dumps([dataclasses.asdict(each) for each in found]))
        else:
            out.print(_checks(found))
        return
    specs = [load(name, known) for name in (*catalogue(), *OWN)]
    if as_json:
        out.print_json(json.dumps([spec.model_dump(mode="json") for spec in specs]))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("experiment", "claim", "arms (control in brackets)"):
        table.add_column(heading, overflow="fold")
    for spec in specs:
        arms = ", ".join(f"({name})" if arm.control else name for name, arm in spec.arms.items())
        table.add_row(spec.name, spec.claim, arms)
    out.print(table)


def _checks(found: Sequence[CheckCoverage]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("must hold in", overflow="fold")
    table.add_column("must be caught in (in brackets: not in --quick)", overflow="fold")
    for each in found:
        caught = _places(each.caught)
        if each.caught and not any(place.quick for place in each.caught):
            caught += "; nowhere in --quick"
        nowhere = "no experiment of ours makes it: it is there for your own" if not each.held else ""
        table.add_row(each.check, _places(each.held), caught or each.uncaught or nowhere)
    return table


def _places(places: Sequence[Place]) -> str:
    arms: dict[str, list[str]] = {}
    for place in places:
        arms.setdefault(place.experiment, []).append(place.arm if place.quick else f"({place.arm})")
    return "; ".join(f"{experiment}: {', '.join(names)}" for experiment, names in arms.items())
