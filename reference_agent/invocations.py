"""`POST /invocations`: takes a slot or refuses, reads the request, and answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, aclosing
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response
from opentelemetry import trace
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from reference_agent import contract
from reference_agent.agent import AgentService
from reference_agent.disconnect import unless_disconnected
from reference_agent.failures import AgentError, draining_error, raised_as_agent_error
from reference_agent.health import Health
from reference_agent.media_types import prefers_events
from reference_agent.patterns.busy_signal import BusySignal, Slot
from reference_agent.request import InvalidRequestError, Invocation, read_invocation
from reference_agent.settings import Settings
from reference_agent.sse import EventStream, Reply, Sleep, WholeReply, json_response
from reference_agent.threads import threads_ended

CLIENT_CLOSED_REQUEST: Final = 499
"""As nginx logs it: the caller is gone, and `HTTPStatus` has no member for that."""
BUSY_RETRY_AFTER_S: Final = "1"
LAST_EVENT_S: Final = 5.0
"""So long a caller that reads slowly keeps the slot for the end of its answer, when the work is over."""


class InvocationHandler:
    """Answers invocations, each of which has a slot from its first byte until its work has ended.

    Args:
        settings: how long a request may take.
        service: answers.
        busy: has the slots.
        health: whether the container leaves.
        sleep: waits.

    Attributes:
        after_answer: called when a request is answered, with its slot. Work that goes on after the answer
            takes the slot over here.
    """

    def __init__(
        self,
        settings: Settings,
        service: AgentService,
        busy: BusySignal,
        health: Health,
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._service = service
        self._busy = busy
        self._health = health
        self._sleep = sleep
        self.after_answer: Callable[[Invocation, Slot], None] = lambda _invocation, _slot: None

    def handle(self, request: Request) -> Response:
        """Return the response to a request: its work is done while it is sent, by one task."""
        return _Handled(self, request)

    async def serve(self, request: Request, send: Send) -> None:
        """Answer a request, or refuse it at once: another container may be idle."""
        await self._health.look()
        slot = None if self._health.draining else self._busy.try_acquire()
        if slot is None:
            trace.get_current_span().set_attributes({contract.BUSY: True})
            await refusal()(request.scope, request.receive, send)
            return
        await self.answer(request, send, slot)

    async def answer(self, request: Request, send: Send, slot: Slot) -> None:
        """Answer a request that has a slot, and give the slot back when nothing works for it any more."""
        begun_s = asyncio.get_running_loop().time()
        with slot:
            async with threads_ended():
                try:
                    invocation = await read_invocation(request)
                except InvalidRequestError as error:
                    body = {"error": "bad request", "details": str(error)}
                    answer = json_response(body, {}, error.status)
                    await _at_last(answer(request.scope, request.receive, send))
                except ClientDisconnect:
                    await _at_last(_closed(request, send))
                except asyncio.CancelledError:  # by the server, as below; nothing of the work began
                    answer = draining_error(elsewhere=True).response({})
                    await _at_last(answer(request.scope, request.receive, send))
                else:
                    await self._answer(request, send, invocation, slot, begun_s)

    async def _answer(
        self, request: Request, send: Send, invocation: Invocation, slot: Slot, begun_s: float
    ) -> None:
        headers = {
            contract.SESSION_HEADER: invocation.session_id,
            contract.REQUEST_HEADER: invocation.request_id,
        }
        streaming = prefers_events(request.headers.getlist("accept"))
        reply = (EventStream if streaming else WholeReply)(request, send, headers)
        try:
            async with unless_disconnected(request.receive):
                with raised_as_agent_error():
                    await self._work(invocation, reply, begun_s)
            await _at_last(reply.end())
        except AgentError as error:
            await _at_last(reply.fail(error))
        except ClientDisconnect:
            if not reply.begun:
                await _at_last(_closed(request, send))
        except asyncio.CancelledError:  # by the server, at the end of its draining time
            await _at_last(reply.fail(draining_error()))
        else:
            self.after_answer(invocation, slot)

    async def _work(self, invocation: Invocation, reply: Reply, begun_s: float) -> None:
        limit_s = min(self._settings.agent_deadline_s, invocation.limit_s)
        streaming = isinstance(reply, EventStream)
        async with asyncio.timeout_at(begun_s + limit_s) as deadline, AsyncExitStack() as stack:
            if isinstance(reply, EventStream):
                every_s = self._settings.agent_sse_keepalive_s
                await stack.enter_async_context(reply.kept_alive(every_s, self._sleep))
            events = self._service.events(invocation, deadline, streaming=streaming)
            await stack.enter_async_context(aclosing(events))
            async for event in events:
                await reply.event(event)


class _Handled(Response):
    """Does the work when it is called, so that no slot is taken before somebody is sure to give it back."""

    def __init__(self, handler: InvocationHandler, request: Request) -> None:
        super().__init__()
        self._handler = handler
        self._request = request

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handler.serve(Request(scope, receive), send)


async def _at_last(sending: Coroutine[Any, Any, None]) -> None:
    """Send what ends an answer: no deadline holds by then, and who never reads must not keep the slot."""
    try:
        async with asyncio.timeout(LAST_EVENT_S):
            await sending
    except TimeoutError:
        return  # it reads too slowly; the server closes its connection


async def _closed(request: Request, send: Send) -> None:
    """Let the server's span and duration say what became of the request; nobody reads the answer."""
    await Response(status_code=CLIENT_CLOSED_REQUEST)(request.scope, request.receive, send)


def refusal() -> Response:
    """Return the 503 of a container that takes no request.

    Its body is empty, so that a balancer keeps the connection for the next request.
    """
    return Response(
        status_code=HTTPStatus.SERVICE_UNAVAILABLE,
        headers={"retry-after": BUSY_RETRY_AFTER_S, contract.BUSY_HEADER: "1", "content-length": "0"},
    )
