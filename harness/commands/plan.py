"""`agentrig plan`: how many containers does it take?"""

from __future__ import annotations

import math
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from harness.clock import SystemClock
from harness.commands.console import new_folder, out
from harness.commands.progress import TerminalProgress
from harness.errors import ExitCode, InputError
from harness.fleet.installed import known_policies
from harness.plan import check as check_of
from harness.plan import forecast, page, words
from harness.plan.asked import Answer, Asked, Promise
from harness.plan.files import read_workload
from harness.plan.prices import read_prices
from harness.plan.records import Fleet, Routing, Scaling
from harness.plan.search import answer
from harness.records.workload import Workload
from harness.run.folder import RunFolder, new_run_id
from harness.wrong_keys import suggest

UNITS: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0}
DURATION: Final = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)(ms|s|m)")
MOST_CONTAINERS: Final = 100_000
MOST_RPS: Final = 1e5


def _routing(text: str) -> Routing:
    """Return which routing a word means.

    Raises:
        InputError: none that can be simulated.
    """
    if text in set(Routing):
        return Routing(text)
    known = f"Those that it knows: {', '.join(Routing)}."
    if text in known_policies():
        raise InputError(
            f"--policy {text}: `agentrig run` measures a fleet under it, but `plan` has no simulation of it. "
            f"{known}"
        )
    raise InputError(f"--policy {text}: there is no such policy{suggest(text, Routing)} {known}")


def plan(
    workload: Annotated[
        Path, typer.Argument(metavar="WORKLOAD.toml", help="What `agentrig calibrate` wrote.")
    ],
    *,
    p99: Annotated[str, typer.Option(metavar="4s", help="The limit of the p99: 800ms, 4s, 2m.")],
    rate: Annotated[
        float | None, typer.Option(metavar="RPS", help="Requests/s; those of the workload by default.")
    ] = None,
    error_ratio: Annotated[float, typer.Option(min=0, max=0.5, help="Share that may fail.")] = 0.01,
    limit: Annotated[
        str, typer.Option(metavar="1,2,4", help="Requests that a container works on at once; each is tried.")
    ] = "1",
    policy: Annotated[
        Routing,
        typer.Option(
            parser=_routing,
            metavar="POLICY",
            help=f"How a request comes to a container: {', '.join(Routing)}.",
            autocompletion=lambda incomplete: [name for name in Routing if name.startswith(incomplete)],
        ),
    ] = Routing.BUSY_AWARE,
    balancers: Annotated[
        int, typer.Option(min=1, max=64, help="Side by side, each blind to the others.")
    ] = 1,
    ping: Annotated[
        str, typer.Option(metavar="50ms", help="Between two looks at /ping, with --policy ping.")
    ] = "50ms",
    idle: Annotated[
        str,
        typer.Option(metavar="15m", help="After which a session's container is stopped (--policy session)."),
    ] = "15m",
    zones: Annotated[
        int, typer.Option(min=1, max=100, help="The limits also hold with one of them gone.")
    ] = 1,
    containers: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_CONTAINERS, help="Ask whether so many do, in place of how many it takes."
        ),
    ] = None,
    scale_from: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MOST_CONTAINERS,
            help="With an autoscaler, from so many up to those that are looked for.",
        ),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML: container_hour, million_tokens_in, ...")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Then start that fleet here, scaled to the machine, and compare.")
    ] = False,
    seconds: Annotated[
        float,
        typer.Option("--check-for", min=10, max=3600, metavar="S", help="How long --check loads the fleet."),
    ] = 60.0,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Folder of plan.html; a new one under runs/ by default.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what forecast.json holds, nothing else.")
    ] = False,
) -> None:
    """How many containers hold a p99? A simulation of the fleet, with its intervals.

    Exits 0 when a fleet holds the limits, 1 when none does, 2 when that can't be told or the
    workload is in doubt.

    Examples:
    `agentrig plan workload.toml --p99 4s --rate 120 --zones 3`
    `agentrig plan workload.toml --p99 4s --limit 1,2,4,8 --prices prices.toml`
    `agentrig plan workload.toml --p99 4s --check`
    """
    if check and (policy is Routing.SESSION or scale_from is not None):
        raise InputError(
            "--check starts a fleet of a fixed number of containers: leave out "
            f"{'--scale-from' if scale_from is not None else '--policy session'}, or --check."
        )
    if math.isnan(error_ratio) or math.isnan(seconds):
        raise InputError("--error-ratio and --check-for are numbers: nan is none.")
    known = read_workload(workload)
    asked = Asked(
        workload=known,
        promise=Promise(p99_s=duration(p99, "--p99"), error_ratio=error_ratio),
        rate_rps=_rate(rate, known),
        fleet=Fleet(
            containers=1,
            routing=policy,
            balancers=balancers,
            ping_s=duration(ping, "--ping"),
            idle_s=duration(idle, "--idle"),
            path_s=known.container.path_s,
            cold_start_s=known.container.cold_start_s,
            scaling=_scaling(scale_from, containers),
        ),
        limits=_limits(limit),
        zones=zones,
        containers=containers,
    )
    told_prices = None if prices is None else read_prices(prices)
    clock = SystemClock()
    folder = RunFolder.create(out_dir or new_folder("plan", clock), new_run_id(clock.now(), "plan"))
    console = Console(stderr=True, quiet=as_json)
    with TerminalProgress(console, clock.monotonic) as progress:
        found = answer(asked, progress.phase)
        again = shlex.join(["agentrig", *sys.argv[1:]])
        folder.write("plan.html", page.to_html(found, told_prices, again))
        folder.write(forecast.FORECAST, forecast.to_json(found, told_prices))
        compared = None
        if check and found.best is not None:
            compared = check_of.check(found, folder, progress, clock, seconds=seconds)
            folder.write("check.html", check_of.to_html(compared))
            folder.write(forecast.CHECK, forecast.text_of(check_of.record(compared)))
    if as_json:
        sys.stdout.write(forecast.to_json(found, told_prices))
    else:
        _print(
            words.headline(found), list(words.sentences(found)), words.HEADS, words.rows(found, told_prices)
        )
        if compared is not None:
            _print(compared.headline, compared.sentences, check_of.HEADS, check_of.rows(compared))
        out.print(f"plan: {folder.path / 'plan.html'}", highlight=False, soft_wrap=True)
    raise typer.Exit(_code(found, compared))


def _code(found: Answer, compared: check_of.Comparison | None) -> ExitCode:
    if found.undecided or found.unsure or found.asked.workload.doubts:
        return ExitCode.UNKNOWN
    if found.best is None:
        return ExitCode.FELL_SHORT
    if compared is None or compared.within is True:
        return ExitCode.HELD
    return ExitCode.UNKNOWN if compared.within is None else ExitCode.FELL_SHORT


def _print(headline: str, sentences: list[str], heads: tuple[str, ...], rows: object) -> None:
    out.print(f"[bold]{headline}[/]", highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head)
    for row in rows:  # type: ignore[attr-defined] # rows - of strings
        table.add_row(*row)
    out.print(table)
    for sentence in sentences:
        out.print(sentence, highlight=False, soft_wrap=True, markup=False)


def duration(text: str, option: str) -> float:
    """Return the seconds of a time such as 4s.

    Raises:
        InputError: it is none.
    """
    found = DURATION.fullmatch(text)
    if found is None or not (length_s := float(found.group(1)) * UNITS[found.group(2)]):
        raise InputError(f"{option} {text}: give a time above 0, such as 800ms, 4s or 2m.")
    return length_s


def _scaling(scale_from: int | None, containers: int | None) -> Scaling | None:
    if scale_from is None:
        return None
    if containers is not None and scale_from > containers:
        raise InputError(f"--scale-from {scale_from} --containers {containers}: the most is below the least.")
    return Scaling(least=scale_from)


def _rate(rate: float | None, known: Workload) -> float:
    if rate is None:
        return known.arrivals.rate_rps
    if not 0 < rate <= MOST_RPS:
        raise InputError(f"--rate {rate:g}: give requests a second, above 0 and at most {MOST_RPS:g}.")
    return rate


def _limits(text: str) -> tuple[int, ...]:
    try:
        found = tuple(sorted({int(each) for each in text.split(",")}))
    except ValueError:
        found = ()
    if not found or found[0] < 1 or found[-1] > 1000:  # noqa: PLR2004 - as a fleet's limit has it
        raise InputError(f"--limit {text}: give numbers from 1 to 1000, such as 1,2,4,8.")
    return found
