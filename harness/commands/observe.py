"""`agentrig observe`: the same invariants on the traces of a live system."""

from __future__ import annotations

import os
import re
import shlex
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated, Final

import typer

from harness import __version__
from harness.clock import Clock, SystemClock
from harness.commands.console import EXIT, AsJson, finish, print_error
from harness.errors import InputError
from harness.observe import limits as limits_of
from harness.observe.checks import OBSERVABLE
from harness.observe.look import Look, look
from harness.observe.metrics import Metrics
from harness.observe.serving import address_of, page, served
from harness.observe.sources import Wanted, open_source
from harness.observe.verdict import Judging, checks_of
from harness.observe.watch import Watch, watch
from harness.outside.secrets import hidden
from harness.records.outcome import Outcome

HOUR_S: Final = 3_600.0
SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
DURATION: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])")


def observe(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A file or folder of spans (OTLP as JSON or protobuf, Jaeger's JSON, `aws/spans` lines, a "
            "run folder), jaeger:URL, tempo:URL, cloudwatch:GROUP, or otlp://HOST:PORT to receive them.",
        ),
    ],
    *,
    since: Annotated[
        str | None, typer.Option(metavar="1h", help="Look back so far: 30s, 15m, 1h, 2d.")
    ] = None,
    service: Annotated[
        list[str] | None, typer.Option(help="Judge this service; may be given again. All agents by default.")
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE|FILE",
            help="What is promised or known, p99=2000 or concurrency-limit=4; or TOML.",
        ),
    ] = None,
    check: Annotated[
        list[str] | None, typer.Option(help="Make this check alone; may be given again. All by default.")
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="5m", help="Look again so often, at the time that --since says (1h by default)."
        ),
    ] = None,
    times: Annotated[
        int | None, typer.Option(min=1, help="With --every: end after so many looks, with the worst verdict.")
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="With --every: where Prometheus reads figures and verdicts."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report; a new one under runs/ by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a live system by its traces, from spans alone.

    Before each verdict the same checks are made on a history in which everything is wrong.

    Examples:
    `agentrig observe traces.jsonl --limits p99=5000`
    `agentrig observe jaeger:http://localhost:16686 --since 1h --service my-agent`
    `agentrig observe otlp://127.0.0.1:4318 --every 5m --metrics 127.0.0.1:9464`
    """
    known = limits_of.read(limits or ())
    unknown = [name for name in check or () if name not in OBSERVABLE]
    if unknown:
        raise InputError(f"--check {unknown[0]}: there is no such check. Known: {', '.join(OBSERVABLE)}.")
    if every is None and (times is not None or metrics is not None):
        raise InputError("--times and --metrics are of --every: say how often to look.")
    if every is not None and as_json:
        raise InputError("--json tells of one look: leave --every out, or read verdict.json of the reports.")
    every_s = None if every is None else seconds(every, "--every")
    since_s = None if since is None else seconds(since, "--since")
    services, clock = tuple(service or ()), SystemClock()
    wanted = Wanted(
        services=services,
        since_s=HOUR_S if since_s is None and every_s is not None else since_s,
        every_s=every_s,
        clock=clock,
        tell=print_error,
    )
    asked = Look(
        source=open_source(source, wanted),
        services=services,
        judging=Judging(limits=known, checks=checks_of(known, check or ())),
        since_s=wanted.since_s,
        out=out,
        again=shlex.join(["agentrig", *sys.argv[1:]]),
        version=__version__,
        salt=os.urandom(2).hex(),
    )
    with closing(asked.source):
        if every_s is not None:
            raise typer.Exit(EXIT[_watched(asked, every_s, times, metrics, clock)])
        result, folder = look(asked, clock)
        finish(result, folder, as_json=as_json)


def _watched(asked: Look, every_s: float, times: int | None, metrics: str | None, clock: Clock) -> Outcome:
    figures = Metrics(every_s, asked.since_s or HOUR_S)
    watched = Watch(look=asked, every_s=every_s, times=times, metrics=figures, tell=_tell)
    with ExitStack() as stack:
        if metrics is not None:
            host, port = address_of(metrics, "--metrics")
            stack.enter_context(served(page(figures.text), host, port))
        return watch(watched, clock)


def _tell(line: str) -> None:
    sys.stdout.write(f"{hidden(line)}\n")
    sys.stdout.flush()


def seconds(text: str, option: str) -> float:
    """Return the seconds of a time such as 1h.

    Args:
        text: the time.
        option: whose it is, for the message.

    Raises:
        InputError: it is none.
    """
    found = DURATION.fullmatch(text)
    if found is None or not (length_s := float(found.group(1)) * SECONDS[found.group(2)]):
        raise InputError(f"{option} {text}: give a time such as 30s, 15m, 1h or 2d.")
    return length_s
