"""`agentrig conform`: does one running container speak the contract?"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.markup import escape

from harness.commands.console import EXIT, out
from harness.conform.run import conform as run_conformance
from harness.conform.target import ConformFinding, ContractTarget
from harness.errors import InputError
from harness.outside.headers import is_address, problem_of
from harness.outside.http import HEADERS
from harness.outside.secrets import of_environment, remember
from harness.own.config import read
from harness.records.outcome import Outcome
from harness.under_test import RequestShape, with_environment

CONFORM_MARKS = {
    Outcome.PASS: "[green]holds      [/]",
    Outcome.FAIL: "[red]falls short[/]",
    Outcome.UNKNOWN: "[yellow]unknown    [/]",
    Outcome.NOT_MADE: "[dim]not made   [/]",
}
ADVICE = "[yellow]advice     [/]"


def conform(
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of the container, http://host:port.")],
    *,
    concurrency: Annotated[
        int, typer.Option(metavar="N", min=1, max=256, help="The most requests at once, to find its limit.")
    ] = 32,
    prompt_field: Annotated[
        str | None, typer.Option(metavar="KEY", help="Of the request's JSON, where the prompt is.")
    ] = None,
    path: Annotated[
        str | None, typer.Option(metavar="PATH", help="Where requests go; /invocations by default.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME:VALUE", help="What else is sent; may be given again.")
    ] = None,
    agent: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An agentrig.toml whose [request] says how it is asked."),
    ] = None,
    timeout_s: Annotated[
        float, typer.Option(metavar="S", min=1, max=600, help="Give up on an answer after so many s.")
    ] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check a running container against the AgentCore Runtime contract.

    What we only advise is told apart, and changes no exit code. Its model is really called, about 100 times
    at the most.

    Example: `agentrig conform http://127.0.0.1:8080`
    """
    if not is_address(url):
        raise InputError(f"{url}: is no address; give one such as http://127.0.0.1:8080.")
    shape = _shape(agent, path=path, prompt_field=prompt_field, headers=header or ())

    def print_finding(finding: ConformFinding) -> None:
        if as_json:
            out.print_json(json.dumps(dataclasses.asdict(finding)), indent=None)
            return
        mark = ADVICE if finding.advice else CONFORM_MARKS[finding.verdict]
        out.print(f"{mark} {finding.id:18} {escape(finding.message)}", highlight=False, soft_wrap=True)

    async def examine() -> Outcome:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(
            base_url=url, timeout=timeout_s, limits=limits, headers=HEADERS, trust_env=False
        ) as http:
            target = ContractTarget(http=http, shape=shape, timeout_s=timeout_s)
            return await run_conformance(target, concurrency, print_finding)

    try:
        verdict = asyncio.run(examine())
    except httpx.InvalidURL as error:
        raise InputError(f"{url}: {error}. Give an address such as http://127.0.0.1:8080.") from error
    raise typer.Exit(EXIT[verdict])


def _shape(
    file: Path | None, *, path: str | None, prompt_field: str | None, headers: Sequence[str]
) -> RequestShape:
    """Return how the container is asked: as its file says, and where that is said here, so.

    Raises:
        InputError: the file, a path or a header is wrong.
    """
    shape = read(file).request.shape(file.parent) if file else RequestShape()
    request = shape.request
    if path is not None:
        if not path.startswith("/"):
            raise InputError(f"--path {path}: give one that begins with /, such as /invocations.")
        request = replace(request, path=path)
    if prompt_field is not None:
        request = replace(request, body={prompt_field: "{prompt}"}, form={})
    more = {}
    for text in headers:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise InputError("--header: give NAME:VALUE.")
        if problem := problem_of(name.strip(), value.strip()):
            raise InputError(f"--header: {problem}.")
        more[name.strip()] = value.strip()
    remember(of_environment(more).values())
    known = {name: with_environment(value, os.environ) for name, value in shape.headers.items()}
    return replace(shape, request=request, headers=known | more)
