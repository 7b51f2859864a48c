"""The HTTP surface: invocations, probes and metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from reference_agent import contract
from reference_agent.health import Health, not_ready_because
from reference_agent.invocations import InvocationHandler
from reference_agent.patterns.busy_signal import BusySignal


def build_router(
    handler: InvocationHandler,
    *,
    busy: BusySignal,
    health: Health,
    ping_store: Callable[[], Awaitable[None]],
) -> APIRouter:
    """Return the routes.

    Args:
        handler: answers invocations.
        busy: what `/ping` says.
        health: whether the container is starting or draining.
        ping_store: raises when the session store can't be reached.
    """
    router = APIRouter()

    @router.post("/invocations")
    async def invocations(request: Request) -> Response:
        return await handler.handle(request)

    @router.get("/ping")
    async def ping() -> JSONResponse:
        body = {"status": busy.status, "time_of_last_update": busy.changed_at}
        return JSONResponse(body, headers={contract.DEGRADED_HEADER: "true"} if busy.state.busy else None)

    @router.get("/livez")
    async def livez() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        reason = await not_ready_because(health, busy, ping_store)
        return JSONResponse(
            {"status": "ready" if reason is None else "not ready", "reason": reason},
            HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE,
        )

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
