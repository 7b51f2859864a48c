"""Cancels a call only where the pool of connections notices.

httpcore (1.0.9) loses the place of a request that is cancelled when it has got a connection and does not use
it yet, or while it cleans up after itself: what it shields there, it does not shield from `Task.cancel`. That
connection counts as in use for ever, and after as many hang-ups at these moments as the pool has places, no
call gets through any more. So each step of a call is a task of its own, which is cancelled while it waits for
the network.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

import httpx

T = TypeVar("T")
PATIENCE_S: Final = 1.0
"""A call that does not come to the network within this waits for a place in the pool: it has none to lose."""
CLEANING_UP: Final = "response_closed"


class CancelSafeTransport(httpx.AsyncBaseTransport):
    """Wraps a transport; the module's docstring says why.

    Args:
        inner: what really sends.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._ending: set[asyncio.Task[None]] = set()  # the event loop itself holds tasks only weakly

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        steps = _Steps(self._ending)
        request.extensions = {**request.extensions, "trace": steps.note}
        response = await steps.take(self._send(request), unwanted=httpx.Response.aclose)
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Body(response.stream, steps)
        return response

    async def _send(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._inner.aclose()


class _Steps:
    """The steps of one call, and whether it waits for the network, as httpx's extension `trace` tells."""

    def __init__(self, ending: set[asyncio.Task[None]]) -> None:
        self._ending = ending
        self._waiting = False
        self._changed = asyncio.Event()

    async def note(self, event: str, _about: dict[str, Any]) -> None:
        """Take note of an event: `http11.send_request_headers.started`."""
        step, _, state = event.rpartition(".")
        self._waiting = state == "started" and not step.endswith(CLEANING_UP)
        self._changed.set()

    async def take(
        self, step: Coroutine[Any, Any, T], *, unwanted: Callable[[T], Awaitable[None]] | None = None
    ) -> T:
        """Return what a step gives; cancel it where that is safe.

        Args:
            step: sends, or reads.
            unwanted: what becomes of a result that came when nobody wanted it any more.
        """
        task = asyncio.create_task(step)
        task.add_done_callback(lambda _: self._changed.set())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await self.to_its_end(self._cancel(task, unwanted))
            raise

    async def to_its_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what nobody may cancel: who is cancelled meanwhile waits no longer, and it ends all the same."""
        ending = asyncio.create_task(work)
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        await asyncio.shield(ending)

    async def _cancel(self, task: asyncio.Task[T], unwanted: Callable[[T], Awaitable[None]] | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not task.done() and not self._waiting:
                    self._changed.clear()
                    await self._changed.wait()
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is None and unwanted is not None:
            await unwanted(task.result())


class _Body(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, steps: _Steps) -> None:
        self._inner = inner
        self._chunks = inner.__aiter__()
        self._steps = steps

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._steps.take(self._next())) is not None:
            yield chunk

    async def _next(self) -> bytes | None:
        return await anext(self._chunks, None)

    async def aclose(self) -> None:
        await self._steps.to_its_end(self._close())

    async def _close(self) -> None:
        await self._inner.aclose()
