"""The same server, stateless, busy-aware and safe to retry: with the three files of `patterns/`."""

import logging
import os
from pathlib import Path

import uvicorn
from agents.assistant.agent import classify
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from google.adk.cli.fast_api import get_fast_api_app
from patterns.busy_signal import BusySignal
from starlette.middleware.base import RequestResponseEndpoint

log = logging.getLogger(__name__)
busy = BusySignal(limit=int(os.environ.get("CONCURRENCY_LIMIT", "4")))
app = get_fast_api_app(
    agents_dir=str(Path(__file__).resolve().parent / "agents"),
    session_service_uri=f"sqlite+aiosqlite:///{os.environ['SESSIONS']}",
    allow_origins=["*"],
    web=False,
)


@app.get("/ping")
async def ping() -> dict:
    """Say whether a slot is free, and since when that is so."""
    return {"status": busy.status, "time_of_last_update": busy.changed_at}


@app.middleware("http")
async def slots(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Let a run begin, or refuse at once when no slot is free."""
    if request.url.path != "/run":
        return await call_next(request)
    slot = busy.try_acquire()  # before anything of the body is read
    if slot is None:
        return Response(status_code=503, headers={"retry-after": "1", "x-agent-busy": "1"})
    with slot:
        try:
            return await call_next(request)
        except Exception as error:
            log.exception("the run failed")
            failure = classify(error)
            headers = {"retry-after": f"{failure.retry_after_s or 1:.0f}"} if failure.transient else None
            return JSONResponse({"error": type(error).__name__}, 503 if failure.transient else 502, headers)


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8080")))
