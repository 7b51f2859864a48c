"""An answer as server-sent events, written by one task from the first event to the last."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from reference_agent.disconnect import wait_for_disconnect
from reference_agent.failures import AgentError, draining_error
from reference_agent.patterns.busy_signal import Slot

MEDIA_TYPE = "text/event-stream"


class EventStream(Response):
    """Streams events while they come.

    The work, its spans and its timeout belong to one task, which holds the slot to its very end.
    When the caller disconnects, that task is cancelled, also while it waits for the model. An error
    before the first event is answered with its own status; a later one is the last event.

    Args:
        events: to be written; closed at the end.
        slot: given back at the end.
        headers: of the answer.
        answered: takes the slot once the answer is whole, and returns the one to give back.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self,
        events: AsyncGenerator[dict[str, Any], None],
        slot: Slot,
        headers: Mapping[str, str],
        answered: Callable[[Slot], Slot] = lambda slot: slot,
    ) -> None:
        super().__init__(headers={**headers, "cache-control": "no-store"})
        del self.headers["content-length"]
        self._events = events
        self._slot = slot
        self._answered = answered
        self._error_headers = headers
        self._begun = self._ended = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the answer."""
        writing = asyncio.create_task(self._write(scope, receive, send))
        disconnected = asyncio.create_task(wait_for_disconnect(receive))
        try:
            await asyncio.wait((writing, disconnected), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # by the server, at the end of its draining time
            await _cancelled(writing)
            await self._fail(draining_error(), scope, receive, send)
        finally:
            await _cancelled(disconnected, writing)
        if not writing.cancelled():
            writing.result()

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with aclosing(self._events) as events:
                try:
                    async for event in events:
                        if not self._begun:
                            self._begun = True
                            await send(self._head())
                        await send(_event(event))
                except AgentError as error:
                    await self._fail(error, scope, receive, send)
                else:
                    self._slot = self._answered(self._slot)
                    await self._end(send)
        finally:
            self._slot.release()

    async def _fail(self, error: AgentError, scope: Scope, receive: Receive, send: Send) -> None:
        """Send an error with its own status, or as the last event once the status is sent."""
        if self._ended:
            return
        if self._begun:
            await send(_event(error.body()))
            await self._end(send)
        else:
            self._begun = self._ended = True
            await error.response(self._error_headers)(scope, receive, send)

    async def _end(self, send: Send) -> None:
        self._ended = True
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _head(self) -> Message:
        return {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _event(event: Mapping[str, Any]) -> Message:
    body = f"data: {json.dumps(event, separators=(',', ':'))}\n\n".encode()
    return {"type": "http.response.body", "body": body, "more_body": True}
