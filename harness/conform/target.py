"""The container under test, as a black box: what can be asked of it over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import httpx

from harness import contract
from harness.asking.answer import is_success
from harness.asking.request import JSON_TYPE, asked, headers_of
from harness.outside.http import bounded
from harness.outside.secrets import beginning
from harness.outside.text import parse_json
from harness.records.outcome import Outcome
from harness.under_test import RequestShape

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformFinding:
    """One line of the conformance report.

    Attributes:
        id: the check.
        verdict: pass, fail, unknown when the container gave no occasion to look, or not made where it
            doesn't offer what it need not.
        message: what was seen and, when it fell short, what its owner can do.
        advice: whether it is ours and no demand of the contract: then what falls short decides nothing.
    """

    id: str
    verdict: Outcome
    message: str
    advice: bool = False


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
    def ok(self) -> bool:
        """Whether it was answered with a status of success."""
        return is_success(self.status)

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
        shape: how it is asked, with the values of variables in its headers.
        timeout_s: after which an answer is given up, however much of it there is.
        sleep: waits for so many seconds.
        now: Unix time in seconds.
        monotonic: seconds since any origin.
    """

    http: httpx.AsyncClient
    shape: RequestShape = field(default_factory=RequestShape)
    timeout_s: float = 60.0
    sleep: Sleep = asyncio.sleep
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    async def ask(
        self, prompt: str, session: str, *, accept: str = "application/json", request_id: str | None = None
    ) -> ContractAnswer:
        """Send a prompt in a session."""
        shape = self.shape
        values = {"prompt": prompt, "session": session, "request": request_id or session}
        made = asked(shape.request, values)
        headers = {shape.session_header: session}
        if request_id is not None:
            headers[shape.request_header] = request_id
        headers.pop("", None)
        headers |= headers_of(shape, shape.request) | {"Accept": accept}
        return await self._call(made.method, made.target, content=made.body, headers=headers)

    async def ask_bare(self, prompt: str) -> ContractAnswer:
        """Send a prompt without the id of a session or a request: the container makes them."""
        shape = self.shape
        made = asked(shape.request, {"prompt": prompt, "session": "", "request": ""})
        headers = headers_of(shape, shape.request) | {"Accept": JSON_TYPE}
        return await self._call(made.method, made.target, content=made.body, headers=headers)

    async def send(self, body: bytes, session: str) -> ContractAnswer:
        """Send any body to where requests go."""
        shape = self.shape
        made = asked(shape.request, {"prompt": "", "session": session, "request": session})
        headers = {shape.session_header: session} if shape.session_header else {}
        headers |= {"Content-Type": JSON_TYPE, "Accept": JSON_TYPE} | dict(shape.headers)
        return await self._call(made.method, made.target, content=body, headers=headers)

    async def ping(self) -> ContractAnswer:
        """Ask for the container's health."""
        return await self._call("GET", contract.PING)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        content: bytes = b"",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> ContractAnswer:
        told = httpx.Headers(dict(headers), encoding="latin-1")  # as the load sends them
        begun_s = self.monotonic()
        try:
            request = self.http.build_request(method, path, content=content, headers=told)
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


def advised(check: str, message: str) -> ConformFinding:
    """The container conforms, and could do better; the message says what to do."""
    return ConformFinding(id=check, verdict=Outcome.FAIL, message=message, advice=True)


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
    return f"{answer.status} {beginning(text, 80)!r}" if text else f"{answer.status} with an empty body"
