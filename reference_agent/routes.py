"""The HTTP surface: invocations, sessions, probes and metrics."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from reference_agent import contract
from reference_agent.adapters.sessions.protocol import SessionStore
from reference_agent.failures import AgentError, draining_error, raised_as_agent_error
from reference_agent.health import Health
from reference_agent.invocations import InvocationHandler
from reference_agent.patterns.busy_signal import BusySignal


def build_router(
    handler: InvocationHandler, *, busy: BusySignal, health: Health, store: SessionStore
) -> APIRouter:
    """Return the routes.

    Args:
        handler: answers invocations.
        busy: what `/ping` says.
        health: what `/readyz` says.
        store: keeps the sessions.
    """
    router = APIRouter()

    @router.post("/invocations")
    async def invocations(request: Request) -> Response:
        return handler.handle(request)

    @router.delete("/sessions/{session_id:path}")
    async def forget(session_id: str) -> Response:
        try:
            with raised_as_agent_error():
                await health.look()
                await store.delete(session_id)
        except AgentError as error:
            return error.response({})
        except asyncio.CancelledError:  # by the server, at the end of its draining time
            return draining_error().response({})
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @router.get("/ping")
    async def ping() -> JSONResponse:
        await health.look()
        body = {"status": busy.status, "time_of_last_update": busy.changed_at}
        degraded = busy.status == "HealthyBusy"
        return JSONResponse(body, headers={contract.DEGRADED_HEADER: "true"} if degraded else None)

    @router.get("/livez")
    async def livez() -> JSONResponse:
        return JSONResponse({"status": "alive"})

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        reason = await health.not_ready_because()
        return JSONResponse(
            {"status": "ready" if reason is None else "not ready", "reason": reason},
            HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE,
        )

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
