"""`agentrig conform`: does one running container speak the contract?"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Annotated

import httpx
import typer
from rich.markup import escape

from harness.commands.console import EXIT, out
from harness.conform.run import conform as run_conformance
from harness.conform.target import ConformFinding, ContractTarget
from harness.errors import InputError
from harness.outside.http import HEADERS
from harness.records.outcome import Outcome

CONFORM_MARKS = {
    Outcome.PASS: "[green]holds      [/]",
    Outcome.FAIL: "[red]falls short[/]",
    Outcome.UNKNOWN: "[yellow]unknown    [/]",
    Outcome.NOT_MADE: "[dim]not made   [/]",
}


def conform(
    url: Annotated[str, typer.Argument(metavar="URL", help="Address of the container, http://host:port.")],
    *,
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="The most requests to send at once to find its limit.")
    ] = 32,
    prompt_field: Annotated[
        str, typer.Option(help="The key of the request's JSON that holds the prompt.")
    ] = "prompt",
    timeout_s: Annotated[
        float, typer.Option(min=1, max=600, help="Give up on an answer after so many s.")
    ] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check a running container against the AgentCore Runtime contract, as a black box.

    Its model is really called, about 100 times at the most.

    Example: `agentrig conform http://127.0.0.1:8080`
    """

    def print_finding(finding: ConformFinding) -> None:
        if as_json:
            out.print_json(json.dumps(dataclasses.asdict(finding)), indent=None)
            return
        mark = CONFORM_MARKS[finding.verdict]
        out.print(f"{mark} {finding.id:18} {escape(finding.message)}", highlight=False, soft_wrap=True)

    async def examine() -> Outcome:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(
            base_url=url, timeout=timeout_s, limits=limits, headers=HEADERS, trust_env=False
        ) as http:
            target = ContractTarget(http=http, prompt_field=prompt_field, timeout_s=timeout_s)
            return await run_conformance(target, concurrency, print_finding)

    try:
        verdict = asyncio.run(examine())
    except httpx.InvalidURL as error:
        raise InputError(f"{url}: {error}. Give an address such as http://127.0.0.1:8080.") from error
    raise typer.Exit(EXIT[verdict])
