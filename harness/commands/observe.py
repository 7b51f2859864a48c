"""`agentrig observe`: the same invariants on the traces of a live system."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from harness import __version__
from harness.clock import SystemClock
from harness.commands.console import AsJson, finish
from harness.errors import InputError
from harness.observe import limits as limits_of
from harness.observe.checks import OBSERVABLE
from harness.observe.look import Look, look
from harness.observe.sources import open_source
from harness.observe.verdict import Judging, checks_of

SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
DURATION: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])")


def observe(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A file or folder of spans (OTLP as JSON or protobuf, Jaeger's JSON, `aws/spans` lines, a "
            "run folder), or jaeger:URL.",
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
    """
    known = limits_of.read(limits or ())
    unknown = [name for name in check or () if name not in OBSERVABLE]
    if unknown:
        raise InputError(f"--check {unknown[0]}: there is no such check. Known: {', '.join(OBSERVABLE)}.")
    services = tuple(service or ())
    asked = Look(
        source=open_source(source, services),
        services=services,
        judging=Judging(limits=known, checks=checks_of(known, check or ())),
        since_s=None if since is None else seconds(since),
        out=out,
        again=shlex.join(["agentrig", *sys.argv[1:]]),
        version=__version__,
        salt=os.urandom(2).hex(),
    )
    result, folder = look(asked, SystemClock())
    finish(result, folder, as_json=as_json)


def seconds(text: str) -> float:
    """Return the seconds of a time such as 1h.

    Raises:
        InputError: it is none.
    """
    found = DURATION.fullmatch(text)
    if found is None or not (length_s := float(found.group(1)) * SECONDS[found.group(2)]):
        raise InputError(f"--since {text}: give a time such as 30s, 15m, 1h or 2d.")
    return length_s
