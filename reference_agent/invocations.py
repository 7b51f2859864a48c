"""`POST /invocations`: takes a slot or refuses, reads the request, and answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from opentelemetry import trace
from starlette.requests import ClientDisconnect

from reference_agent import contract
from reference_agent.agent import AgentService
from reference_agent.disconnect import unless_disconnected
from reference_agent.failures import AgentError, draining_error
from reference_agent.health import Health
from reference_agent.patterns.busy_signal import BusySignal, Slot
from reference_agent.request import InvalidRequestError, Invocation, read_invocation
from reference_agent.sse import MEDIA_TYPE, EventStream

CLIENT_CLOSED_REQUEST: Final = 499
"""As nginx logs it: the caller is gone, and `HTTPStatus` has no member for that."""
BUSY_RETRY_AFTER_S: Final = "1"


class InvocationHandler:
    """Answers invocations, each of which has a slot from its first byte to its last.

    Args:
        service: answers.
        busy: has the slots.
        health: whether the container is draining.

    Attributes:
        slot_after_answer: called when a request is answered, with its slot; returns the slot to give
            back. Work that goes on after the answer takes the slot over here.
    """

    def __init__(self, service: AgentService, busy: BusySignal, health: Health) -> None:
        self._service = service
        self._busy = busy
        self._health = health
        self.slot_after_answer: Callable[[Invocation, Slot], Slot] = lambda _, slot: slot

    async def handle(self, request: Request) -> Response:
        """Answer a request, or refuse it at once: another container may be idle."""
        if self._health.draining:
            return refusal()
        slot = self._busy.try_acquire()
        if slot is None:
            trace.get_current_span().set_attributes({contract.BUSY: True})
            return refusal()
        return await self.answer(request, slot)

    async def answer(self, request: Request, slot: Slot) -> Response:
        """Answer a request that has a slot, and give the slot back."""
        streaming = False
        headers: dict[str, str] = {}
        try:
            invocation = await read_invocation(request)
            headers = {
                contract.SESSION_HEADER: invocation.session_id,
                contract.REQUEST_HEADER: invocation.request_id,
            }
            if MEDIA_TYPE in request.headers.get("accept", ""):
                streaming = True  # the slot is the stream's, from here on
                events = self._service.stream(invocation)
                return EventStream(
                    events, slot, headers, lambda slot: self.slot_after_answer(invocation, slot)
                )
            answer = await unless_disconnected(request.receive, self._service.answer(invocation))
            slot = self.slot_after_answer(invocation, slot)
            return JSONResponse(answer, headers=headers)
        except InvalidRequestError as error:
            return JSONResponse({"error": "bad request", "details": str(error)}, error.status)
        except AgentError as error:
            return error.response(headers)
        except ClientDisconnect:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        except asyncio.CancelledError:  # by the server, at the end of its draining time
            return draining_error().response(headers)
        finally:
            if not streaming:
                slot.release()


def refusal() -> Response:
    """Return the 503 of a container that takes no request.

    Its body is empty, so that a balancer keeps the connection for the next request.
    """
    return Response(
        status_code=HTTPStatus.SERVICE_UNAVAILABLE,
        headers={"retry-after": BUSY_RETRY_AFTER_S, contract.BUSY_HEADER: "1", "content-length": "0"},
    )
