"""Keeps the places of a pool of connections: no call may take one with it.

httpcore (1.0.9) loses the place of a request that is cancelled when it has got a connection and does not use
it yet, or while it cleans up after itself: what it shields there, it does not shield from `Task.cancel`. That
connection counts as in use for ever, and after as many hang-ups at these moments as the pool has places, no
call gets through any more. So a cancellation that comes there is kept until the call waits for something.

It also loses the place of a request whose handshake fails behind a proxy, and nothing can be done about that
from outside. So a pool that has no place left, though it has more of them than there are calls, is replaced.

And it forgets the connection of a request that is cancelled within its handshake: nobody would close it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from dataclasses import dataclass
from types import coroutine
from typing import Any, Final, TypeVar

import httpx

T = TypeVar("T")
CLEANING_UP: Final = "response_closed"
CONNECTING: Final = "connect_tcp"
HANDSHAKING: Final = "start_tls"


@dataclass(slots=True)
class _Pool:
    """A transport, the calls that use it, and whether it is closed when they have ended."""

    transport: httpx.AsyncBaseTransport
    calls: int = 0
    given_up: bool = False

    async def left(self) -> None:
        self.calls -= 1
        if self.given_up and not self.calls:
            await self.transport.aclose()


class CancelSafeTransport(httpx.AsyncBaseTransport):
    """Sends by a pool of connections; the module's docstring says what for.

    Args:
        make_pool: makes what really sends, with more places than there are calls at once.
    """

    def __init__(self, make_pool: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make_pool = make_pool
        self._pool = _Pool(make_pool())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        pool = self._pool
        call = _Call()
        request.extensions = {**request.extensions, "trace": call.note}
        pool.calls += 1
        try:
            response = await call.carry(_send(pool.transport, request, call))
        except BaseException as error:
            if isinstance(error, httpx.PoolTimeout) and pool is self._pool:
                pool.given_up, self._pool = True, _Pool(self._make_pool())
            await call.carry(pool.left())
            raise
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Body(response.stream, call, pool)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._pool.transport.aclose()


async def _send(transport: httpx.AsyncBaseTransport, request: httpx.Request, call: _Call) -> httpx.Response:
    response = await transport.handle_async_request(request)
    if call.kept is not None:  # nobody wants it any more
        await response.aclose()
    return response


class _Call:
    """One call, and where it is, as httpx's extension `trace` tells.

    Attributes:
        kept: a cancellation that has not been passed on yet.
    """

    def __init__(self) -> None:
        self.kept: asyncio.CancelledError | None = None
        self._on_network = self._cleaning_up = False
        self._opened: Any = None

    async def note(self, event: str, about: dict[str, Any]) -> None:
        """Take note of an event: `http11.send_request_headers.started`."""
        step, _, state = event.rpartition(".")
        self._cleaning_up = step.endswith(CLEANING_UP) and state == "started"
        self._on_network = not self._cleaning_up and state == "started"
        if step.endswith(CONNECTING) and state == "complete":
            self._opened = about["return_value"]
        elif step.endswith(HANDSHAKING) and state == "failed" and self._opened is not None:
            await self._opened.aclose()

    @coroutine
    def carry(self, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Do what a task does with its coroutine, but for a cancellation at a wrong moment.

        Raises:
            CancelledError: who waits for it was cancelled.
        """
        error: BaseException | None = None
        while True:
            try:
                awaited = work.send(None) if error is None else work.throw(error)
            except StopIteration as end:
                self._raise_kept()
                result: T = end.value
                return result
            except Exception:
                self._raise_kept()
                raise
            error = yield from self._wait(awaited)

    def _wait(self, awaited: asyncio.Future[Any] | None) -> Generator[Any, Any, BaseException | None]:
        """Wait, and return what is to be raised in the coroutine that waits.

        Args:
            awaited: None where it only lets others run.
        """
        if awaited is not None and self._cleaning_up:
            yield from self._wait_for_certain(awaited)
            return None
        if awaited is not None and self.kept is not None and awaited.cancel():
            self.kept = None  # it comes back as the end of what is awaited
        try:
            yield awaited
        except asyncio.CancelledError as error:
            if self._on_network or not _has_come(awaited):
                return error
            self.kept = error
        except BaseException as error:  # noqa: BLE001 - it is raised in the coroutine
            return error
        return None

    def _wait_for_certain(self, awaited: asyncio.Future[Any]) -> Generator[Any, Any, None]:
        while not awaited.done():
            try:
                yield from asyncio.wait([awaited]).__await__()
            except asyncio.CancelledError as error:
                self.kept = error

    def _raise_kept(self) -> None:
        kept, self.kept = self.kept, None
        if kept is not None:
            raise kept


def _has_come(awaited: asyncio.Future[Any] | None) -> bool:
    """Return whether what is awaited is there, so that a cancellation takes it away from who waits."""
    return awaited is None or (awaited.done() and not awaited.cancelled())


class _Body(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, call: _Call, pool: _Pool) -> None:
        self._inner = inner
        self._chunks = inner.__aiter__()
        self._call = call
        self._pool: _Pool | None = pool

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._call.carry(self._next())) is not None:
            yield chunk

    async def _next(self) -> bytes | None:
        chunk = await anext(self._chunks, None)
        if self._call.kept is not None:
            await self._close()
        return chunk

    async def aclose(self) -> None:
        await self._call.carry(self._close())

    async def _close(self) -> None:
        pool, self._pool = self._pool, None
        try:
            await self._inner.aclose()
        finally:
            if pool is not None:
                await pool.left()
