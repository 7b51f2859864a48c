"""The HTTP surface: invocations, and the ways of asking how the container is."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from opentelemetry import trace
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import ClientDisconnect

from reference_agent import contract
from reference_agent.admission import Admission, Admitted
from reference_agent.after_answer import AfterAnswer
from reference_agent.agent import AgentService, Invocation
from reference_agent.failures import AgentError, leaving
from reference_agent.patterns.busy_signal import BusySignal
from reference_agent.sse import MEDIA_TYPE, EventStream, hung_up

OK, BAD_REQUEST, TOO_SLOW, TOO_LARGE, UNAVAILABLE = 200, 400, 408, 413, 503
CALLER_LEFT = 499
BUSY_RETRY_AFTER_S = "1"


@dataclass(slots=True)
class Health:
    """What `/readyz` tells beyond the busy signal."""

    started: bool = False
    draining: bool = False


class BadRequestError(Exception):
    """The body is no request; the words say why."""

    def __init__(self, details: str, status: int = BAD_REQUEST) -> None:
        super().__init__(details)
        self.status = status


def build_router(
    service: AgentService,
    after: AfterAnswer,
    *,
    admission: Admission,
    busy: BusySignal,
    health: Health,
    store_ping: Callable[[], Awaitable[None]],
) -> APIRouter:
    """Return the routes over the given parts."""
    router = APIRouter()

    @router.post("/invocations")
    async def invocations(request: Request) -> Response:
        if health.draining:
            return refusal()
        admitted = await admission.enter()
        if admitted is None:
            trace.get_current_span().set_attributes({contract.BUSY: True})
            return refusal()
        return await _answer(request, admitted, service, after)

    @router.get("/ping")
    async def ping() -> JSONResponse:
        body = {"status": busy.status, "time_of_last_update": busy.changed_at}
        return JSONResponse(body, headers={contract.DEGRADED_HEADER: "true"} if busy.state.busy else None)

    @router.get("/livez")
    async def livez() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        reason = await _unready(health, busy, store_ping)
        return JSONResponse(
            {"status": "ready" if reason is None else "not ready", "reason": reason},
            OK if reason is None else UNAVAILABLE,
        )

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def refusal() -> Response:
    """Refuse at once; with an empty body, so that a balancer keeps the connection for the next."""
    return Response(
        status_code=UNAVAILABLE,
        headers={"retry-after": BUSY_RETRY_AFTER_S, contract.BUSY_HEADER: "1", "content-length": "0"},
    )


async def _answer(
    request: Request, admitted: Admitted, service: AgentService, after: AfterAnswer
) -> Response:
    slot = admitted.slot
    if admitted.wait_s:
        trace.get_current_span().set_attribute(contract.QUEUE_WAIT_S, admitted.wait_s)
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
            return EventStream(service.stream(invocation), after.keep(invocation, slot), headers)
        answer = await unless_disconnected(request, service.answer(invocation))
        slot = after.keep(invocation, slot)
        return JSONResponse(answer, headers=headers)
    except BadRequestError as error:
        return JSONResponse({"error": "bad request", "details": str(error)}, error.status)
    except AgentError as error:
        return error.response(headers)
    except ClientDisconnect:
        return Response(status_code=CALLER_LEFT)
    except asyncio.CancelledError:  # by the server, which has waited long enough
        return leaving().response(headers)
    finally:
        if not streaming:
            slot.release()


async def unless_disconnected(request: Request, work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """Await `work`, or cancel it when the caller hangs up.

    Raises:
        ClientDisconnect: the caller hung up.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(hung_up(request.receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.wait((task,))  # its slot is free only when it has really ended


async def read_invocation(request: Request) -> Invocation:
    """Read and check a request.

    Raises:
        BadRequestError: it is none; says what is wrong.
    """
    try:
        body = json.loads(await _read_body(request))
    except (ValueError, RecursionError) as error:
        raise BadRequestError("the body is no JSON") from error
    if not isinstance(body, Mapping):
        raise BadRequestError('the body is no JSON object: send {"prompt": "..."}')
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise BadRequestError('"prompt" is missing, empty, or no text')
    return Invocation(
        prompt=prompt,
        session_id=_identifier(request, contract.SESSION_HEADER),
        request_id=_identifier(request, contract.REQUEST_HEADER),
    )


async def _read_body(request: Request) -> bytes:
    chunks = bytearray()
    try:
        async with asyncio.timeout(contract.MAX_BODY_S):
            async for chunk in request.stream():
                chunks += chunk
                if len(chunks) > contract.MAX_BODY_BYTES:
                    raise BadRequestError(f"the body is over {contract.MAX_BODY_BYTES} bytes", TOO_LARGE)
    except TimeoutError:
        raise BadRequestError(f"the body took over {contract.MAX_BODY_S:g} s", TOO_SLOW) from None
    return bytes(chunks)


def _identifier(request: Request, header: str) -> str:
    value = request.headers.get(header)
    if value is None:
        return str(uuid.uuid4())
    if not value or len(value) > contract.MAX_ID_CHARS or not value.isascii() or not value.isprintable():
        raise BadRequestError(
            f"{header} is empty, over {contract.MAX_ID_CHARS} characters, or not plain ASCII"
        )
    return value


async def _unready(health: Health, busy: BusySignal, store_ping: Callable[[], Awaitable[None]]) -> str | None:
    if health.draining:
        return "draining"
    if not health.started:
        return "starting"
    if busy.state.busy:
        return "busy"
    try:
        await store_ping()
    except Exception:  # noqa: BLE001 - whatever it is, no request could be answered
        return "the session store can't be reached"
    return None
