"""A container that takes too much, says what is not so, or fails now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from opentelemetry import trace
from starlette.types import Message, Send
from typing_extensions import override

from reference_agent import contract
from reference_agent.controls.often import EACH_SO_MANY
from reference_agent.controls.restored import drawn_id
from reference_agent.invocations import InvocationHandler, refusal
from reference_agent.patterns.busy_signal import BusySignal, Slot, Status

SLOW_S = 3.0
EACH_LEAVER = 6
LEAKED_BYTES = 50_000
QUEUES = {"queue-at-limit", "queue-and-tell"}


class QueueingHandler(InvocationHandler):
    """Over the limit, requests wait inside, where no balancer sees them."""

    def __init__(self, *parts: Any, limit: int, clock: Callable[[], float]) -> None:
        super().__init__(*parts)
        self._free = asyncio.Semaphore(limit)
        self._clock = clock

    @override
    async def serve(self, request: Request, send: Send) -> None:
        """Answer a request, after however long it takes to get a slot."""
        if self._health.draining:
            await refusal()(request.scope, request.receive, send)
            return
        begun = self._clock()
        await self._free.acquire()
        counted = self._busy.try_acquire()

        def leave() -> None:
            self._free.release()
            if counted is not None:
                counted.release()

        trace.get_current_span().set_attribute(contract.QUEUE_WAIT_S, self._clock() - begun)
        await self.answer(request, send, Slot(leave))


class FailingHandler(InvocationHandler):
    """One request of so many is answered 500, and nothing was the matter."""

    _came = 0

    @override
    async def serve(self, request: Request, send: Send) -> None:
        """Answer a request, or fail it."""
        self._came += 1
        if self._came % EACH_SO_MANY:
            await super().serve(request, send)
        else:
            failure = JSONResponse({"error": "internal", "error_type": "control"}, 500)
            await failure(request.scope, request.receive, send)


class SlowHandler(InvocationHandler):
    """One request of so many waits, and nothing was the matter."""

    _came = 0

    @override
    async def answer(self, request: Request, send: Send, slot: Slot) -> None:
        """Answer a request that has a slot, at once or after a while."""
        self._came += 1
        if self._came % EACH_SO_MANY == 0:
            await self._sleep(SLOW_S)
        await super().answer(request, send, slot)


class GivesBackTwice(InvocationHandler):
    """Gives a slot back where a request failed, and where it ends."""

    @override
    async def answer(self, request: Request, send: Send, slot: Slot) -> None:
        """Answer a request that has a slot."""

        async def sent(message: Message) -> None:
            if message.get("status", 0) >= HTTPStatus.INTERNAL_SERVER_ERROR:
                self._busy._count(-1)  # noqa: SLF001 - a Slot itself gives back but once
            await send(message)

        await super().answer(request, sent, slot)


class NoticesLeavers(InvocationHandler):
    """Knows whether an answer went out whole."""

    async def whole_of(self, request: Request, send: Send, slot: Slot) -> bool:
        """Answer a request that has a slot; return whether all of the answer went out."""
        whole = False

        async def sent(message: Message) -> None:
            nonlocal whole
            await send(message)
            whole = message["type"] == "http.response.body" and not message.get("more_body", False)

        await super().answer(request, sent, slot)
        return whole


class KeepsSlots(NoticesLeavers):
    """Of so many readers who leave in mid-answer, one keeps the slot for good."""

    _left = 0

    @override
    async def answer(self, request: Request, send: Send, slot: Slot) -> None:
        """Answer a request that has a slot, and give that back if its answer went out, or else mostly."""
        kept = slot.hand_over()
        whole = await self.whole_of(request, send, Slot(lambda: None))
        self._left += not whole
        if whole or self._left % EACH_LEAVER:
            kept.release()


class StaysBusy(NoticesLeavers):
    """Says that it is busy from the first reader on who leaves in mid-answer, and goes on serving."""

    @override
    async def answer(self, request: Request, send: Send, slot: Slot) -> None:
        """Answer a request that has a slot."""
        if not await self.whole_of(request, send, slot):
            self._busy.block("a reader left")


class MintingHandler(InvocationHandler):
    """Names the session of a request that has none by Python's own generator."""

    @override
    async def serve(self, request: Request, send: Send) -> None:
        """Answer a request, or refuse it."""
        name = contract.SESSION_HEADER.lower().encode()
        if not any(each == name for each, _ in request.scope["headers"]):
            request.scope["headers"] = [*request.scope["headers"], (name, drawn_id().encode())]
        await super().serve(Request(request.scope, request.receive), send)


class LeakingHandler(InvocationHandler):
    """Keeps some memory of each request, and gives none of it back."""

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._kept: list[bytearray] = []

    @override
    async def serve(self, request: Request, send: Send) -> None:
        """Answer a request, or refuse it."""
        self._kept.append(bytearray(b"x" * LEAKED_BYTES))
        await super().serve(request, send)


HANDLERS = {
    "sessions-from-random": MintingHandler,
    "leaks": LeakingHandler,
    "fails-at-times": FailingHandler,
    "slow-at-times": SlowHandler,
    "slot-twice": GivesBackTwice,
    "keeps-slots": KeepsSlots,
    "stays-busy": StaysBusy,
}


class ConstantPing(BusySignal):
    """Says that the process lives."""

    @property
    @override
    def status(self) -> Status:
        """`Healthy`."""
        return "Healthy"


class StampAtPoll(BusySignal):
    """Stamps the poll, while no slot is free."""

    @property
    @override
    def status(self) -> Status:
        """As it is; and who asks while no slot is free is told that this has just changed."""
        if self.state.busy:
            self.restamp()
        return super().status


class StampKept(BusySignal):
    """Keeps the stamp that it has."""

    @override
    def restamp(self) -> None:
        """Do nothing: so the stamp is that of another life."""


SIGNALS = {"ping-constant": ConstantPing, "stamp-at-poll": StampAtPoll, "stamp-kept": StampKept}
