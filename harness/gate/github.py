"""What a gate said, told to GitHub: annotations, the step's summary, and one comment that is edited."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import httpx

from harness.clock import Clock
from harness.errors import AgentrigError, ExitCode
from harness.gate.ending import Ending

PER_PAGE: Final = 100
MOST_PAGES: Final = 50
MOST_CHARS: Final = 65_000
"""Of a comment; GitHub takes 65,536."""
TRIES: Final = 3
LONGEST_WAIT_S: Final = 60.0
"""For a rate limit: what takes longer is not worth a runner's time."""
FORBIDDEN, NOT_FOUND, TOO_MANY, BROKEN = 403, 404, 429, 500
MOST_ANNOTATIONS: Final = 10


class OnUnknown(StrEnum):
    """What becomes of the job where nothing could be told."""

    NEUTRAL = "neutral"
    FAIL = "fail"


class CommentError(AgentrigError):
    """A comment could not be written: it says why. That is no verdict."""


def is_unknown(ending: Ending) -> bool:
    """Return whether nothing could be told of head: it has nothing to do with a base that doesn't start."""
    of_base = ending.exit_code == ExitCode.NOT_STARTED and ending.side == "base"
    return ending.exit_code == ExitCode.UNKNOWN or of_base


def exit_code(ending: Ending, on_unknown: OnUnknown) -> int:
    """Return what the job ends with."""
    if is_unknown(ending):
        return ExitCode.HELD if on_unknown is OnUnknown.NEUTRAL else ExitCode.UNKNOWN
    return ending.exit_code


def annotated(ending: Ending, on_unknown: OnUnknown) -> Iterator[str]:
    """Yield the commands that a runner reads from what a step prints, the gravest first."""
    if ending.exit_code == ExitCode.HELD:
        kind = "notice"
    elif is_unknown(ending) and on_unknown is OnUnknown.NEUTRAL:
        kind = "warning"
    else:
        kind = "error"
    yield f"::{kind} title=agentrig gate::{in_command(ending.title)}"
    for reason in ending.reasons[: MOST_ANNOTATIONS - 1]:
        yield f"::{kind} title=agentrig gate::{in_command(reason)}"


def in_command(text: str) -> str:
    """Make text safe in a command: it ends with its line, and `%` begins a code."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def marked(name: str, text: str, report_url: str | None = None) -> str:
    """Return a comment's whole text: its mark first, cut where GitHub would refuse it.

    Args:
        name: tells the gates of one pull request apart.
        text: what is said.
        report_url: where the report can be had.
    """
    end = f"\n[The whole report]({report_url})\n" if report_url else ""
    whole = f"{mark(name)}\n{text}{end}"
    if len(whole) > MOST_CHARS:
        whole = f"{whole[: MOST_CHARS - len(end)]}\n\n(cut here: it is too long)\n{end}"
    return whole


def mark(name: str) -> str:
    """Return what a comment of this gate begins with; nobody sees it."""
    return f"<!-- agentrig gate {re.sub(r'[^A-Za-z0-9_.]+', '-', name)} -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """A pull request, and how its comments are reached.

    Attributes:
        client: of GitHub's API, with a token.
        repository: `owner/name`.
        number: of the pull request.
        clock: for waiting.
    """

    client: httpx.Client
    repository: str
    number: int
    clock: Clock

    def say(self, name: str, body: str) -> str:
        """Write the comment of a gate, or edit the one that it wrote before.

        Args:
            name: of the gate.
            body: the whole text, with its mark.

        Returns:
            Its address.

        Raises:
            CommentError: GitHub does not take it; says why.
        """
        comments = f"/repos/{self.repository}/issues/{self.number}/comments"
        if (known := self._find(comments, mark(name))) is not None:
            edited = self._call("PATCH", f"/repos/{self.repository}/issues/comments/{known}", {"body": body})
            if edited.status_code != NOT_FOUND:  # else somebody deleted it meanwhile
                return self._address(edited)
        return self._address(self._call("POST", comments, {"body": body}))

    def _find(self, path: str, begins: str) -> int | None:
        """Return the comment that begins with a mark; only a program's, for anybody can write the mark."""
        for page in range(1, MOST_PAGES + 1):
            answer = self._call("GET", f"{path}?per_page={PER_PAGE}&page={page}")
            comments: list[Mapping[str, Any]] = answer.raise_for_status().json()
            for comment in comments:
                by_program = (comment.get("user") or {}).get("type") == "Bot"
                if by_program and str(comment.get("body") or "").startswith(begins):
                    return int(comment["id"])
            if len(comments) < PER_PAGE:
                return None
        return None

    def _address(self, answer: httpx.Response) -> str:
        return str(answer.raise_for_status().json()["html_url"])

    def _call(self, method: str, path: str, content: Any = None) -> httpx.Response:
        """Call the API, again where it says that this helps.

        Raises:
            CommentError: it refuses.
        """
        for tried in range(1, TRIES + 1):
            try:
                answer = self.client.request(method, path, json=content)
            except httpx.HTTPError as error:
                wait_s, said = float(tried), f"{type(error).__name__}: {error}"
            else:
                if answer.is_success or (answer.status_code == NOT_FOUND and method == "PATCH"):
                    return answer
                wait_s, said = self._wait_s(answer, tried), _refusal(answer)
            if wait_s > LONGEST_WAIT_S or tried == TRIES:
                break
            self.clock.sleep(wait_s)
        raise CommentError(f"the comment could not be written: {said}")

    def _wait_s(self, answer: httpx.Response, tried: int) -> float:
        """Return how long to wait before a call is tried again; for ever where that won't help."""
        headers = answer.headers
        limited = answer.status_code in {FORBIDDEN, TOO_MANY}
        if limited and (told := headers.get("retry-after", "")).isdigit():
            return float(told)
        if limited and headers.get("x-ratelimit-remaining") == "0":
            resets = headers.get("x-ratelimit-reset", "")
            return max(1.0, float(resets) - self.clock.now()) if resets.isdigit() else LONGEST_WAIT_S
        if answer.status_code == TOO_MANY or answer.status_code >= BROKEN:
            return float(tried)
        return float("inf")


def _refusal(answer: httpx.Response) -> str:
    try:
        message = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = ""
    if answer.status_code == FORBIDDEN and "not accessible" in message:
        return (
            "the token of this job may not write one. On a pull request from a fork it never may, and the "
            "summary of the job has the same words; else the job needs `permissions: pull-requests: write`"
        )
    return f"HTTP {answer.status_code} {message}".strip()
