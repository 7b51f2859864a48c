"""`agentrig calibrate`: from a run, or the traces of a live system, to a workload."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from harness.clock import SystemClock
from harness.commands.console import out, print_error, tell_left_out
from harness.commands.observe import seconds
from harness.errors import ExitCode, InputError, StartError
from harness.observe.sources import Wanted, open_source
from harness.outside.files import write_named
from harness.outside.secrets import hidden
from harness.plan import fit_page
from harness.plan.calibrate import calibrate as calibrated
from harness.plan.seen import of_run, of_traces
from harness.records.workload import to_toml
from harness.run.folder import PLAN


def calibrate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN|TRACES", help="A folder of `agentrig run`, or whatever `agentrig observe` reads."
        ),
    ],
    *,
    out_file: Annotated[Path, typer.Option("--out", metavar="FILE", help="Gets the workload.")] = Path(
        "workload.toml"
    ),
    arm: Annotated[
        str | None,
        typer.Option(metavar="EXPERIMENT/ARM", help="Of a run; its first arm under test by default."),
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="Of traces; the one with most requests by default.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="1h", help="Look back so far: 30s, 15m, 1h, 2d.")
    ] = None,
) -> None:
    """What is a service asked, and what do its requests take? For `plan`, `simulator` and `run`.

    Writes the workload, and beside it a page with each fit over its data. Exits 2 where it was overloaded
    while it was looked at, sampled, or seen for too short: the workload is written and says so.

    Examples:
    `agentrig calibrate runs/RUN`
    `agentrig calibrate traces.jsonl --service my-agent --out workload.toml`
    `agentrig calibrate jaeger:http://localhost:16686 --since 1d`
    """
    run_path = Path(source)
    if run_path.is_dir() and (run_path / PLAN).is_file():
        seen = of_run(run_path, arm, tell_left_out)
    else:
        services = (service,) if service else ()
        since_s = None if since is None else seconds(since, "--since")
        clock = SystemClock()
        wanted = Wanted(services=services, since_s=since_s, every_s=None, clock=clock, tell=print_error)
        seen = of_traces(open_source(source, wanted), services, since_s, clock, source)
    found = calibrated(seen.history, name=seen.name, source=source, lossy=seen.lossy, sampled=seen.sampled)
    again = shlex.join(["agentrig", *sys.argv[1:]])
    page = out_file.with_suffix(".html")
    if page == out_file:
        raise InputError(f"--out {out_file}: give the name of a TOML file: the page beside it ends in .html.")
    try:
        write_named(out_file, hidden(to_toml(found.workload)).encode())
        write_named(page, hidden(fit_page.to_html(found, again)).encode())
    except OSError as error:
        raise StartError(
            f"{error.filename}: cannot be written to: {error.strerror}. Give another --out."
        ) from error
    out.print(f"[bold]{fit_page.headline(found)}[/]", highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for head in fit_page.HEADS:
        table.add_column(head)
    for row in fit_page.rows(found):
        table.add_row(*row)
    out.print(table)
    for sentence in fit_page.sentences(found.workload):
        out.print(sentence, highlight=False, soft_wrap=True, markup=False)
    for doubt in found.doubts:
        out.print(f"doubt: {doubt}", highlight=False, soft_wrap=True, markup=False)
    for each in found.workload.unknown:
        out.print(f"unknown: {each}", highlight=False, soft_wrap=True, markup=False)
    out.print(f"workload: {out_file}, fits: {page}", highlight=False, soft_wrap=True, markup=False)
    raise typer.Exit(ExitCode.UNKNOWN if found.doubts else ExitCode.HELD)
