"""Answers as they are sent: whole, or as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from reference_agent import media_types
from reference_agent.failures import AgentError

HEAD_AFTER_S: Final = 1.0
"""An error that comes sooner has its own status. Then the headers go: balancers cut silent connections."""
COMMENT: Final = b": still at work\n\n"
Sleep = Callable[[float], Awaitable[None]]


class Reply(Protocol):
    """How a caller is answered.

    Attributes:
        begun: whether anything was sent.
    """

    begun: bool

    async def event(self, event: Mapping[str, Any]) -> None:
        """Take the next event; the last one is the whole answer."""
        ...

    async def end(self) -> None:
        """Send what is left: the work has succeeded."""
        ...

    async def fail(self, error: AgentError) -> None:
        """Send an error in place of what has not been sent yet."""
        ...


class WholeReply:
    """The last event is the answer; an error has its own status.

    Args:
        request: what is answered.
        send: where to.
        headers: of the answer.
    """

    def __init__(self, request: Request, send: Send, headers: Mapping[str, str]) -> None:
        self._target = request.scope, request.receive, send
        self._headers = headers
        self._answer: Mapping[str, Any] = {}
        self.begun = False

    async def event(self, event: Mapping[str, Any]) -> None:
        """Keep an event."""
        self._answer = event

    async def end(self) -> None:
        """Send the answer."""
        self.begun = True
        await json_response(self._answer, self._headers)(*self._target)

    async def fail(self, error: AgentError) -> None:
        """Send an error."""
        if not self.begun:
            self.begun = True
            await error.response(self._headers)(*self._target)


class EventStream:
    """Streams events while they come.

    An error before the first byte is answered with its own status; a later one is the last event.

    Args:
        request: what is answered.
        send: where to.
        headers: of the answer.
    """

    def __init__(self, request: Request, send: Send, headers: Mapping[str, str]) -> None:
        self._target: tuple[Scope, Receive, Send] = request.scope, request.receive, send
        self._send = send
        self._headers = headers
        self.begun = self._ended = False
        self._writing = asyncio.Lock()  # one piece is whole before the next begins

    async def event(self, event: Mapping[str, Any]) -> None:
        """Send an event."""
        await self._write(_encoded(event))

    async def end(self) -> None:
        """Send the end."""
        self._ended = True
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def fail(self, error: AgentError) -> None:
        """Send an error with its own status, or as the last event once the status is sent."""
        if self._ended:
            return
        if self.begun:
            await self._write(_encoded(error.body()))
            await self.end()
        else:
            self.begun = self._ended = True
            await error.response(self._headers)(*self._target)

    @asynccontextmanager
    async def kept_alive(self, every_s: float, sleep: Sleep) -> AsyncIterator[None]:
        """Send the headers soon, and a comment now and then, while what is done within is silent."""
        comments = asyncio.create_task(self._comment(every_s, sleep))
        try:
            yield
        finally:
            comments.cancel()

    async def _comment(self, every_s: float, sleep: Sleep) -> None:
        await sleep(min(HEAD_AFTER_S, every_s))
        while True:
            await self._write(COMMENT)
            await sleep(every_s)

    async def _write(self, body: bytes) -> None:
        async with self._writing:
            if not self.begun:
                await self._send(self._head())
                self.begun = True
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    def _head(self) -> Message:
        headers = {**self._headers, "cache-control": "no-store"}
        response = Response(headers=headers, media_type=media_types.EVENTS)
        del response.headers["content-length"]
        return {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }


def json_response(answer: Mapping[str, Any], headers: Mapping[str, str], status: int = 200) -> Response:
    """Return a response that can always be sent: what no UTF-8 can carry is escaped."""
    body = json.dumps(answer, separators=(",", ":"))
    return Response(body, status, headers=dict(headers), media_type=media_types.JSON)


def _encoded(event: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(event, separators=(',', ':'))}\n\n".encode()
