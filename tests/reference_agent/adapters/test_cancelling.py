"""Cancellations and lost places, over a transport that does what httpcore does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest

from reference_agent.adapters.cancelling import CancelSafeTransport
from tests.reference_agent.rig import run


class Body(httpx.AsyncByteStream):
    """One piece, and what closing it takes."""

    def __init__(self, request: httpx.Request) -> None:
        self.request = request
        self.free = asyncio.Event()
        self.closing = self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"piece"

    async def aclose(self) -> None:
        trace = self.request.extensions["trace"]
        await trace("http11.response_closed.started", {})
        self.closing = True
        await self.free.wait()
        await trace("http11.response_closed.complete", {})
        self.closed = True


class Pool(httpx.AsyncBaseTransport):
    """Gives a place to the first so many."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.bodies: list[Body] = []
        self.closed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if len(self.bodies) == self.places:
            raise httpx.PoolTimeout("no place", request=request)
        self.bodies.append(Body(request))
        return httpx.Response(200, stream=self.bodies[-1])

    async def aclose(self) -> None:
        self.closed += 1


def asked() -> httpx.Request:
    return httpx.Request("GET", "http://model/")


def test_who_is_cancelled_while_it_cleans_up_cleans_up_and_is_cancelled_then() -> None:
    async def work() -> None:
        pool = Pool(1)
        response = await CancelSafeTransport(lambda: pool).handle_async_request(asked())
        closing = asyncio.create_task(response.aclose())
        (body,) = pool.bodies
        for _ in range(3):
            await asyncio.sleep(0)
            assert body.closing
            closing.cancel()
        await asyncio.sleep(0)
        assert not closing.done()
        body.free.set()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert body.closed

    run(work())


def test_an_answer_that_comes_together_with_the_cancellation_is_closed() -> None:
    class Late(Pool):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(0)
            response = await super().handle_async_request(request)
            self.bodies[-1].free.set()
            return response

    async def work() -> None:
        pool = Late(1)
        asking = asyncio.create_task(CancelSafeTransport(lambda: pool).handle_async_request(asked()))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert pool.bodies[0].closed

    run(work())


def test_a_pool_without_a_place_is_replaced_and_closed_when_its_last_call_has_ended() -> None:
    async def work() -> None:
        pools: list[Pool] = []

        def make() -> Pool:
            pools.append(Pool(2))
            return pools[-1]

        transport = CancelSafeTransport(make)
        answers = [await transport.handle_async_request(asked()) for _ in range(2)]
        with suppress(httpx.PoolTimeout):
            await transport.handle_async_request(asked())
        assert len(pools) == 2, "none was made in its place"
        assert (await transport.handle_async_request(asked())).status_code == 200
        for body in pools[0].bodies:
            body.free.set()
        assert pools[0].closed == 0
        await answers[0].aclose()
        assert pools[0].closed == 0, "an answer is still read from it"
        await answers[1].aclose()
        assert [pool.closed for pool in pools] == [1, 0]
        await transport.aclose()
        assert [pool.closed for pool in pools] == [1, 1]

    run(work())
