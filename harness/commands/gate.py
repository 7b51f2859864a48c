"""`agentrig gate`: is head slower than base?"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.clock import SystemClock
from harness.commands.console import (
    AsJson,
    JaegerUrl,
    OutFolder,
    Quiet,
    RateRps,
    finish,
    jaeger_addresses,
    new_folder,
    out,
    print_error,
)
from harness.commands.progress import TerminalProgress
from harness.errors import ExitCode
from harness.experiment.load import load
from harness.fleet.opening import require
from harness.fleet.where import Where
from harness.gate.bisect import Found, find_commit, write_found
from harness.gate.blocks import Side
from harness.gate.decide import GateDecision, GateVerdict
from harness.gate.ending import told_at_every_end
from harness.gate.scenario import GateScenario, steady
from harness.gate.session import GateSettings, gate, self_check
from harness.gate.source import temporary_sources
from harness.gate.statistics import rate_interval
from harness.gate.tolerances import parse_tolerances
from harness.run import pipeline


class ConfigFrom(StrEnum):
    """Whose agentrig.toml says how base is started, where it has none."""

    OWN = "own"
    HEAD = "head"


def gate_command(
    base: Annotated[str, typer.Option(metavar="REF|DIR", help="The version to compare with.")] = "HEAD",
    head: Annotated[str, typer.Option(metavar="REF|DIR", help="The version that must not be slower.")] = ".",
    *,
    experiment: Annotated[
        list[str] | None,
        typer.Option(help="Ask as this experiment does, in place of the gate's own steady load; repeatable."),
    ] = None,
    block: Annotated[
        int, typer.Option(min=340, max=100_000, help="Requests of a block; the first 40 warm up.")
    ] = 540,
    rate_rps: RateRps = None,
    cold: Annotated[
        bool,
        typer.Option("--cold", help="Also compare the first answer of a new container: 3 s more a block."),
    ] = False,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIGURE=FINE:BAD",
            help="What a figure may do: up to FINE times base's is fine, from BAD on it is bad; repeatable.",
        ),
    ] = None,
    config_from: Annotated[
        ConfigFrom,
        typer.Option(help="`head`: a base that has no agentrig.toml yet is started as head's says."),
    ] = ConfigFrom.OWN,
    seed: Annotated[int, typer.Option(help="Of the order of blocks, their arrivals and faults.")] = 1,
    same_env: Annotated[
        bool, typer.Option("--same-env", help="Use this environment's packages for both; build none.")
    ] = False,
    jaeger: JaegerUrl = None,
    check_itself: Annotated[
        int | None,
        typer.Option(
            "--self-check", min=1, max=1000, help="Measure false alarms: so many decisions of head on itself."
        ),
    ] = None,
    bisect: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="GOOD BAD", help="Find the commit between two that made it worse: some 5 gates for 16."
        ),
    ] = None,
    out_dir: OutFolder = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Is head slower than base? Both are built and measured side by side, in pairs of blocks.

    Exits 0 when it is not, 1 when it is, 2 when that can't be told.

    Examples:
    `agentrig gate --base main`
    `agentrig gate --base v1.4 --head . --experiment throttling`
    `agentrig gate --bisect v1.4 main`
    `agentrig gate --self-check 40`
    """
    clock = SystemClock()
    again = as_repeated(sys.argv[1:])
    out_folder = out_dir or new_folder("gate", clock)
    console = Console(stderr=as_json, quiet=quiet)
    with told_at_every_end(out_folder, again), TerminalProgress(console, clock.monotonic) as progress:
        known = pipeline.known()
        scenarios = [GateScenario.of(load(word, known)) for word in experiment or ()] or [steady()]
        if rate_rps is not None:
            scenarios = [each.at(rate_rps) for each in scenarios]
        page, otlp = jaeger_addresses(jaeger)
        parse_tolerances(tolerance or ())  # before anything is built
        for scenario in scenarios:
            require(Where.LOCAL, scenario.name, scenario.fleet, None)
        settings = GateSettings(
            out=out_folder,
            requests=block,
            seed=seed,
            cold=cold,
            fit_rate=rate_rps is None and not experiment,
            tolerances=tuple(tolerance or ()),
            again=again,
            jaeger_url=page,
            forward_url=otlp,
        )
        with temporary_sources(progress.phase, same_env=same_env) as sources:
            if bisect is not None:
                searched = find_commit(
                    *bisect,
                    sources=sources,
                    scenarios=scenarios,
                    settings=settings,
                    progress=progress,
                    clock=clock,
                )
            elif check_itself is not None:
                source = sources.get(head, Side.HEAD)
                told = self_check(source, scenarios, settings, progress, clock, decisions=check_itself)
            else:
                after = sources.get(head, Side.HEAD)
                like = after if config_from is ConfigFrom.HEAD else None
                sides = {Side.BASE: sources.get(base, Side.BASE, like=like), Side.HEAD: after}
                result, decision, folder = gate(sides, scenarios, settings, progress, clock)
    if bisect is not None:
        raise typer.Exit(report_commit(searched, out_folder, again))
    if check_itself is not None:
        raise typer.Exit(report_false_alarms(told))
    for reason in decision.reasons:
        print_error(reason)
    finish(result, folder, as_json=as_json)


def as_repeated(words: Sequence[str]) -> str:
    """Return the command for who wants to see it again, without the folder that this machine wrote to."""
    kept, rest = ["agentrig"], iter(words)
    for word in rest:
        if word == "--out":
            next(rest, None)
        elif not word.startswith("--out="):
            kept.append(word)
    return shlex.join(kept)


def report_commit(searched: Found, folder: Path, again: str) -> int:
    """Print which commit made it worse, and what each that was asked came to; return the exit code."""
    ending = write_found(searched, folder, again)
    for commit, said in searched.steps:
        out.print(f"{commit[:10]}  {said}", highlight=False, markup=False, soft_wrap=True)
    out.print(f"{ending.title}\nComments: {folder}", highlight=False, markup=False, soft_wrap=True)
    return ending.exit_code


def report_false_alarms(decisions: Sequence[GateDecision]) -> ExitCode:
    """Print what the gate said of a version against itself; 1 when it ever called it slower."""
    for verdict in (GateVerdict.FAIL, GateVerdict.PASS, GateVerdict.INCONCLUSIVE, GateVerdict.UNKNOWN):
        found = sum(decision.verdict is verdict for decision in decisions)
        low, high = rate_interval(found, len(decisions))
        out.print(
            f"{verdict:12} {found:3} of {len(decisions)}: {found / len(decisions):.1%} "
            f"(95 % interval {low:.1%} to {high:.1%})",
            highlight=False,
        )
    pairs = sorted(decision.pairs for decision in decisions)
    out.print(f"pairs until it decided: {pairs[len(pairs) // 2]} in the median, {pairs[-1]} at the most")
    failed = any(decision.verdict is GateVerdict.FAIL for decision in decisions)
    return ExitCode.FELL_SHORT if failed else ExitCode.HELD
