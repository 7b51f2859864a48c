"""What the commands share: the two streams, the exit codes of verdicts, and how a run is told at its end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn
from urllib.parse import urlsplit, urlunsplit

import typer
from rich.console import Console
from rich.markup import escape

from harness.clock import Clock
from harness.errors import ExitCode, InputError
from harness.fleet.where import Where
from harness.outside.headers import is_address
from harness.outside.secrets import hidden
from harness.outside.text import shown
from harness.records.outcome import Outcome, RunResult
from harness.report.terminal import summary
from harness.report.verdict_json import to_json
from harness.run.folder import RunFolder, new_run_id

OTLP_PORT = 4318
JAEGER_PORT = 16686
EXIT = {Outcome.PASS: ExitCode.HELD, Outcome.FAIL: ExitCode.FELL_SHORT, Outcome.UNKNOWN: ExitCode.UNKNOWN}
out = Console()
err = Console(stderr=True)

JaegerUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Jaeger's page, http://host:16686; spans go to its OTLP port 4318."),
]

OtlpUrl = Annotated[
    str | None,
    typer.Option(
        "--otlp",
        metavar="URL",
        help="A store of OTLP/HTTP gets a copy; headers from OTEL_EXPORTER_OTLP_HEADERS.",
    ),
]

OwnAgentFile = Annotated[
    Path | None,
    typer.Option(
        "--agent", metavar="FILE", help="Your own agent's agentrig.toml; the one in this folder by default."
    ),
]


OnWhere = Annotated[
    Where,
    typer.Option(
        "--on",
        parser=Where.parse,
        metavar="WHERE",
        help="Containers are processes here (local, so by default), those of Docker or Podman (docker), or "
        "pods of a cluster on this machine (kubernetes, kubernetes:CONTEXT).",
    ),
]
OutFolder = Annotated[
    Path | None, typer.Option("--out", help="The run folder; a new one under runs/ by default.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print verdict.json to stdout, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the summary.")]
RateRps = Annotated[
    float | None, typer.Option("--rate", min=1, max=1000, help="Requests/s, in place of the scenario's.")
]


def new_folder(kind: str, clock: Clock) -> Path:
    """Return a folder below `runs/` that no other session has; `kind` begins its name."""
    return Path("runs") / f"{kind}-{new_run_id(clock.now(), os.urandom(2).hex())}"


def tell_left_out(folder: RunFolder) -> None:
    """Say what could not be read of what was measured."""
    for sentence in folder.left_out:
        print_error(sentence)


def finish(result: RunResult, folder: RunFolder, *, as_json: bool) -> NoReturn:
    """Print the verdict, and exit with its code."""
    tell_left_out(folder)
    if as_json:
        sys.stdout.write(to_json(result))
    else:
        out.print(summary(result, folder.path / "report.html"), crop=False)
    raise typer.Exit(EXIT[result.verdict])


def jaeger_addresses(url: str | None) -> tuple[str, str] | tuple[None, None]:
    """Return the address of Jaeger's page and that of its OTLP/HTTP receiver.

    Args:
        url: either of the two, told apart by the port; without one there are none.

    Raises:
        InputError: it is not an http(s) address.
    """
    if url is None:
        return None, None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InputError(
            f"--jaeger {url}: {error}. Give an address such as http://localhost:16686."
        ) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(f"--jaeger {url}: is not an http address. Give one such as http://localhost:16686.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname

    def at(number: int | None) -> str:
        place = host if number is None else f"{host}:{number}"
        return urlunsplit((parts.scheme, place, "", "", ""))

    return at(JAEGER_PORT if port == OTLP_PORT else port), at(OTLP_PORT)


def otlp_address(url: str | None, of_jaeger: str | None) -> str | None:
    """Return where a copy of the traces goes, None for nowhere.

    Args:
        url: that was given.
        of_jaeger: Jaeger's receiver, where one was named.

    Raises:
        InputError: it is not an http(s) address, or both were given.
    """
    if url is None:
        return of_jaeger
    if of_jaeger is not None:
        raise InputError("--otlp and --jaeger name a receiver each: give one of them.")
    if not is_address(url):
        raise InputError(f"--otlp {url}: is not an http address. Give one such as http://localhost:4318.")
    return url.removesuffix("/v1/traces")


def print_error(message: str) -> None:
    """Print a message for the person at the terminal; half a character, and what commands it, as its code."""
    text = shown(hidden(message)).encode(errors="backslashreplace").decode()
    try:
        err.print(f"[bold red]agentrig:[/] {escape(text)}", highlight=False, soft_wrap=True)
    except (OSError, ImportError):  # colours need modules that are loaded late: no descriptors are left
        os.write(sys.stderr.fileno(), f"agentrig: {text}\n".encode())
