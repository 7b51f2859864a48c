"""The container under test, as a black box: what can be asked of it over HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from harness import contract
from harness.outside.http import bounded
from harness.outside.text import parse_json
from harness.records.outcome import Outcome

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformFinding:
    """One line of the conformance report.

    Attributes:
        id: the check.
        verdict: pass, fail, unknown when the container gave no occasion to look, or not made where it
            doesn't offer what it need not.
        message: what was seen and, when it fell short, what its owner can do.
    """

    id: str
    verdict: Outcome
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractAnswer:
    """What the container answered.

    Attributes:
        status: of HTTP; 0 when there was no answer.
        headers: names in lower case.
        text: the body.
        seconds: from sending to the last byte.
        failure: why there was no answer.
    """

    status: int
    headers: dict[str, str]
    text: str
    seconds: float
    failure: str = ""

    @property
    def busy(self) -> bool:
        """Whether this is a refusal at the concurrency limit."""
        return self.status == httpx.codes.SERVICE_UNAVAILABLE

    def json(self) -> Any:
        """Return the body as JSON, None when it is not JSON."""
        try:
            return parse_json(self.text)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractTarget:
    """A container, and how to talk to it.

    Attributes:
        http: a client whose base address is the container's.
        prompt_field: the key of the request's body that holds the user's words.
        timeout_s: after which an answer is given up, however much of it there is.
        sleep: waits for so many seconds.
        now: Unix time in seconds.
        monotonic: seconds since any origin.
    """

    http: httpx.AsyncClient
    prompt_field: str = "prompt"
    timeout_s: float = 60.0
    sleep: Sleep = asyncio.sleep
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    async def ask(
        self, prompt: str, session: str, *, accept: str = "application/json", request_id: str | None = None
    ) -> ContractAnswer:
        """Send a prompt in a session."""
        headers = {contract.SESSION_HEADER: session, "accept": accept}
        if request_id is not None:
            headers[contract.REQUEST_HEADER] = request_id
        return await self.send(json.dumps({self.prompt_field: prompt}).encode(), headers)

    async def send(self, body: bytes, headers: dict[str, str]) -> ContractAnswer:
        """Send any body to `/invocations`."""
        return await self._call(
            "POST", contract.INVOCATIONS, content=body, headers={"content-type": "application/json"} | headers
        )

    async def ping(self) -> ContractAnswer:
        """Ask for the container's health."""
        return await self._call("GET", contract.PING)

    async def _call(self, method: str, path: str, **kwargs: Any) -> ContractAnswer:
        begun_s = self.monotonic()
        try:
            request = self.http.build_request(method, path, **kwargs)
            response, body = await bounded(self.http, request, deadline_s=self.timeout_s)
        except httpx.HTTPError as error:
            failure = f"{type(error).__name__}: {error}".rstrip(": ")
            return ContractAnswer(
                status=0, headers={}, text="", seconds=self.monotonic() - begun_s, failure=failure
            )
        return ContractAnswer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            text=body.decode(errors="replace"),  # JSON is UTF-8, whatever the charset says
            seconds=self.monotonic() - begun_s,
        )


def held(check: str, message: str) -> ConformFinding:
    """The container does what it should."""
    return ConformFinding(id=check, verdict=Outcome.PASS, message=message)


def fell_short(check: str, message: str) -> ConformFinding:
    """The container doesn't; the message says what to do."""
    return ConformFinding(id=check, verdict=Outcome.FAIL, message=message)


def unknown(check: str, message: str) -> ConformFinding:
    """It couldn't be seen; the message says what would show it."""
    return ConformFinding(id=check, verdict=Outcome.UNKNOWN, message=message)


def not_made(check: str, message: str) -> ConformFinding:
    """The contract leaves it open, and the container doesn't offer it."""
    return ConformFinding(id=check, verdict=Outcome.NOT_MADE, message=message)


def describe_answer(answer: ContractAnswer) -> str:
    """Describe an answer in a few words."""
    if answer.failure:
        return f"no answer ({answer.failure})"
    text = " ".join(answer.text.split())
    return f"{answer.status} {text[:80]!r}" if text else f"{answer.status} with an empty body"
