"""`agentrig baseline`: head against past sessions, where no base can run beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from harness import __version__
from harness.clock import SystemClock
from harness.commands.console import RateRps, new_folder, out
from harness.commands.progress import TerminalProgress
from harness.errors import ExitCode, InputError
from harness.gate import history as baselines
from harness.gate.baseline import ENOUGH, Baseline, BaselineComparison
from harness.gate.decide import GateVerdict
from harness.gate.scenario import steady
from harness.gate.session import GateSettings
from harness.gate.source import temporary_sources
from harness.gate.trend import to_page, trends
from harness.outside.files import write_named

app = typer.Typer(
    help="Compare with past sessions, where no base can run beside head. Much weaker than `gate`."
)
EXITS = {GateVerdict.PASS: ExitCode.HELD, GateVerdict.FAIL: ExitCode.FELL_SHORT}

History = Annotated[Path, typer.Argument(metavar="HISTORY.jsonl", help="The file of past sessions.")]
Run = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="A folder of the gate: take its head's blocks, and measure nothing."),
]
Head = Annotated[str, typer.Option(metavar="REF|DIR", help="The version to measure.")]
SameEnv = Annotated[
    bool, typer.Option("--same-env", help="Use this environment's packages; build no environment.")
]


@app.command()
def save(
    history: History,
    *,
    run: Run = None,
    head: Head = ".",
    rate_rps: RateRps = None,
    same_env: SameEnv = False,
) -> None:
    """Measure a version, some 5 minutes, and add the session to a history.

    Example: `agentrig baseline save nightly.jsonl --head main`.
    """
    saved = _session(run, head, rate_rps, same_env=same_env)
    baselines.add(history, saved)
    sessions = len(baselines.read(history))
    out.print(f"{history}: has {sessions} {'session' if sessions == 1 else 'sessions'} now", highlight=False)


@app.command()
def compare(
    history: History,
    *,
    run: Run = None,
    head: Head = ".",
    rate_rps: RateRps = None,
    same_env: SameEnv = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, nothing else.")] = False,
) -> None:
    """Measure a version and hold it against a history.

    Exits 0 when it is not slower, 1 when it is, 2 when that can't be told.

    Example: `agentrig baseline compare nightly.jsonl --head .`
    """
    past = baselines.read(history)
    judged = baselines.judge(past, _session(run, head, rate_rps, same_env=same_env))
    if as_json:
        typer.echo(json.dumps(asdict(judged)))
    else:
        _print_comparison(judged)
    raise typer.Exit(EXITS.get(judged.verdict, ExitCode.UNKNOWN))


@app.command("csv")
def to_csv(history: History) -> None:
    """Print a history as a table, for change-point tools and plots.

    Example: `agentrig baseline csv nightly.jsonl > nightly.csv`.
    """
    typer.echo(baselines.to_csv(baselines.read(history)), nl=False)


@app.command()
def trend(
    history: History,
    *,
    page: Annotated[
        Path, typer.Option("--out", metavar="PAGE.html", help="Where the page is written.")
    ] = Path("trend.html"),
) -> None:
    """Write a page with the trend of each figure of a history, and say what changed.

    Example: `agentrig baseline trend nightly.jsonl --out trend.html`.
    """
    past = baselines.read(history)
    if not past:
        raise InputError(f"{history}: has no session yet. `agentrig baseline save {history}` adds one.")
    found, left_out = trends(past)
    try:
        write_named(page, to_page(found, left_out, f"agentrig {__version__}, {history.name}").encode())
    except OSError as error:
        raise InputError(f"{page}: cannot be written to: {error.strerror}") from error
    for each in found:
        for change in each.changes:
            said = f"{each.scenario} {each.measure.name}: {change}"
            out.print(said, highlight=False, markup=False, soft_wrap=True)
    for said in left_out:
        out.print(f"- {said}", highlight=False, markup=False, soft_wrap=True)
    changed = sum(bool(each.changes) for each in found)
    out.print(f"{changed} of {len(found)} figures changed; the page: {page}", highlight=False, soft_wrap=True)


def _session(run: Path | None, head: str, rate_rps: float | None, *, same_env: bool) -> list[Baseline]:
    if run is not None:
        return baselines.of_run(run)
    scenario = steady() if rate_rps is None else steady().at(rate_rps)
    clock = SystemClock()
    settings = GateSettings(out=new_folder("baseline", clock))
    with (
        TerminalProgress(Console(stderr=True), clock.monotonic) as progress,
        temporary_sources(progress.phase, same_env=same_env) as sources,
    ):
        return baselines.measure(sources.get(head, "head"), [scenario], settings, progress, clock)


def _print_comparison(judged: baselines.Judged) -> None:
    if judged.figures:
        out.print(_table(judged.figures))
        out.print(_weakness(judged), highlight=False, soft_wrap=True)
    for reason in (*judged.reasons, *judged.left_out):
        out.print(f"- {reason}", highlight=False, markup=False, soft_wrap=True)
    out.print(f"verdict: {judged.verdict}", highlight=False)


def _table(found: Sequence[BaselineComparison]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("figure", "past sessions", "now", "ratio", "bounds", ""):
        table.add_column(heading, justify="left" if heading in {"figure", ""} else "right")
    for each in found:
        unit = "" if each.measure.unit == "1" else f" {each.measure.unit}"
        table.add_row(
            each.measure.name,
            f"{each.before:.4g}{unit}",
            f"{each.now:.4g}{unit}",
            f"{each.ratio:.2f}",
            f"{each.low:.2f} to {each.high:.2f}",
            {"pass": "not worse", "fail": "worse"}.get(each.call, "can't tell"),
        )
    return table


def _weakness(judged: baselines.Judged) -> str:
    """Say how weak this comparison is."""
    first = judged.figures[0]
    basis = (
        f"sessions are assumed to differ by {first.spread:.0%}, for there are fewer than {ENOUGH} to tell"
        if first.assumed
        else f"these sessions differ by {first.spread:.1%}"
    )
    sessions = "1 past session" if judged.sessions == 1 else f"{judged.sessions} past sessions"
    return (
        f"{sessions}, not measured beside head: {basis}, and a "
        f"{first.measure.name} below {first.least:.2f} times theirs can't be called slower. "
        "`agentrig gate` finds 1.3 times in minutes."
    )
