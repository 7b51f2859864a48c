"""Asks one container directly, a request at a time: no balancer, no load."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from harness.asking.answer import Answer, AnswerReader, Failure
from harness.asking.json_path import find, parse
from harness.asking.request import asked, headers_of
from harness.outside.http import control_client
from harness.outside.text import parse_json
from harness.under_test import HttpRequest, RequestShape, with_environment


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectAnswer:
    """What came back.

    Attributes:
        status: of HTTP; 0 when nothing came.
        said: what the answer says.
    """

    status: int
    said: Answer


class DirectCaller:
    """Whoever asks, over a connection of its own each time: one that the agent has closed is no answer.

    Args:
        address: `host:port` of the container.
        shape: how it is asked.
        timeout_s: a request that takes longer is given up.
        transport: of HTTP, for tests; the network by default.
    """

    def __init__(
        self,
        address: str,
        shape: RequestShape,
        *,
        timeout_s: float,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._shape = shape
        self._reader = AnswerReader.of(shape)
        self._http = control_client(timeout_s, base_url=f"http://{address}", transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def open(self, session: str) -> str:
        """Open a session where that is asked for; return its id, the given one where none came back."""
        opening = self._shape.opening
        if opening is None:
            return session
        try:
            answer = self._send(opening.request, "", session)
            found = find(parse_json(answer.content), parse(opening.session)) if opening.session else []
        except (httpx.HTTPError, ValueError):
            return session  # the request itself will tell
        return str(found[0]) if found and isinstance(found[0], str | int) else session

    def ask(self, prompt: str, session: str) -> DirectAnswer:
        """Ask a prompt in a session."""
        try:
            answer = self._send(self._shape.request, prompt, session)
        except (httpx.HTTPError, ValueError) as error:
            failure = Failure(f"no answer ({type(error).__name__}: {error})", type(error).__name__)
            return DirectAnswer(status=0, said=Answer(failure, "", (), None))
        said = self._reader.read(answer.status_code, answer.headers.get("content-type", ""), answer.content)
        return DirectAnswer(status=answer.status_code, said=said)

    def _send(self, request: HttpRequest, prompt: str, session: str) -> httpx.Response:
        shape, request_id = self._shape, secrets.token_hex(8)
        made = asked(request, {"prompt": prompt, "session": session, "request": request_id})
        ids = {shape.session_header: session, shape.request_header: request_id}
        ids.pop("", None)
        same = {name: with_environment(text, os.environ) for name, text in headers_of(shape, request).items()}
        headers = httpx.Headers(ids | same, encoding="latin-1")  # as the load sends them
        return self._http.request(made.method, made.target, content=made.body, headers=headers)
