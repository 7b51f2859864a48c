"""`agentrig github`: tells GitHub what a gate said. The Action's last step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from harness import __version__
from harness.clock import SystemClock
from harness.commands.console import print_error
from harness.errors import ExitCode, InputError
from harness.gate.comment import of_failure
from harness.gate.ending import SUMMARY, Ending, read_ending
from harness.gate.github import (
    CommentError,
    OnUnknown,
    PullRequest,
    annotated,
    exit_code,
    in_command,
    marked,
)
from harness.outside.files import read_bytes
from harness.outside.http import service_client
from harness.outside.text import parse_json

API = "https://api.github.com"
DEADLINE_S = 30.0
NO_END = "the gate did not come to an end of its own; what it printed is in the log of its step"


def github(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `agentrig gate` wrote.")],
    *,
    on_unknown: Annotated[
        OnUnknown, typer.Option(help="Whether a job in which nothing could be told fails.")
    ] = OnUnknown.NEUTRAL,
    comment: Annotated[
        bool, typer.Option("--comment", help="Write a comment on the pull request, or edit the one there is.")
    ] = False,
    name: Annotated[str, typer.Option(help="Tells the gates of one pull request apart.")] = "agentrig-gate",
    report_url: Annotated[
        str, typer.Option(metavar="URL", help="Where the report can be had, for the comment.")
    ] = "",
) -> None:
    """Tell GitHub what a gate said: annotations, the step's summary, one comment; exit as the job should.

    It reads GITHUB_EVENT_PATH, GITHUB_STEP_SUMMARY, GITHUB_REPOSITORY, GITHUB_API_URL and GITHUB_TOKEN.
    """
    ending, text = _said(folder)
    for line in annotated(ending, on_unknown):
        typer.echo(line)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
    if comment:
        _comment(name, marked(name, text, report_url or None))
    raise typer.Exit(exit_code(ending, on_unknown))


def _said(folder: Path) -> tuple[Ending, str]:
    """Return how the gate ended, and its words; those for a gate that left none where it was cut off."""
    try:
        return read_ending(folder), read_bytes(folder / SUMMARY).decode(errors="replace")
    except (InputError, OSError):
        ending = Ending(exit_code=ExitCode.NOT_STARTED, title=f"no verdict: {NO_END}")
        return ending, of_failure(NO_END, ExitCode.NOT_STARTED, side=None, again=None, version=__version__)


def _comment(name: str, body: str) -> None:
    """Write the comment; where that can't be, say so: it is no verdict."""
    number, token = _pull_request(), os.environ.get("GITHUB_TOKEN", "")
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    if number is None:
        typer.echo("no comment: this is no pull request")
        return
    if not token or not repository:
        print_error("no comment: GITHUB_TOKEN and GITHUB_REPOSITORY are not given")
        return
    headers = {
        "authorization": f"Bearer {token}",
        "accept": "application/vnd.github+json",
        "x-github-api-version": "2022-11-28",
        "user-agent": f"agentrig/{__version__}",
    }
    base_url = os.environ.get("GITHUB_API_URL") or API
    with service_client(DEADLINE_S, base_url=base_url, headers=headers) as client:
        pull_request = PullRequest(client=client, repository=repository, number=number, clock=SystemClock())
        try:
            typer.echo(f"comment: {pull_request.say(name, body)}")
        except (CommentError, httpx.HTTPError, KeyError, ValueError) as error:
            typer.echo(f"::warning title=agentrig gate::{in_command(str(error))}")


def _pull_request() -> int | None:
    """Return the number of the pull request that the job is of; None where it is of none."""
    try:
        event: Any = parse_json(read_bytes(Path(os.environ.get("GITHUB_EVENT_PATH", ""))))
        return int(event["pull_request"]["number"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
