"""What each of these agents has: spans out, and a FastAPI server that is asked in this process."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

MODELS = ("fine", "throttled", "refused")
"""The simulator serves the first, turns the first attempt of the second away, and refuses the third."""
BASE_URL = os.environ["OPENAI_BASE_URL"]
TIMES = int(os.environ.get("SAMPLE_TIMES", "1"))
"""So often each of them is asked."""
HTTP_SPANS = "SAMPLE_HTTP_SPANS" in os.environ
"""Whether the HTTP client below the SDK is instrumented, too."""
SABOTAGED = "SAMPLE_SABOTAGED" in os.environ
"""Whether the SDK sends again what was refused for good."""


def provider() -> TracerProvider:
    """Return a provider that sends spans to where the environment says, set as the process's own."""
    made = TracerProvider()
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(made)
    if HTTP_SPANS:
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor  # noqa: PLC0415 - not in all

        HTTPXClientInstrumentor().instrument(tracer_provider=made)
    if SABOTAGED:
        from openai._base_client import BaseClient  # noqa: PLC0415 - not in all; no option does it

        BaseClient._should_retry = lambda *_: True
    return made


def serve(handle: Callable[[str], Awaitable[str]], traces: TracerProvider) -> None:
    """Ask an agent once for each model, or as often as is said, and send all spans out.

    Args:
        handle: answers a prompt by the model that is named.
        traces: gets the spans.
    """
    app = FastAPI()

    @app.post("/invocations")
    async def invocations(request: Request) -> JSONResponse:
        asked = await request.json()
        try:
            return JSONResponse({"result": await handle(asked["model"])})
        except Exception as error:  # whatever a framework makes of a refusal
            return JSONResponse({"error": type(error).__name__}, status_code=500)

    FastAPIInstrumentor.instrument_app(app, tracer_provider=traces)

    async def ask(client: httpx.AsyncClient, model: str) -> None:
        answer = await client.post("/invocations", json={"model": model}, timeout=60)
        print(model, answer.status_code, answer.text[:100])

    async def ask_all() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
            for model in MODELS:
                await asyncio.gather(*(ask(client, model) for _ in range(TIMES)))

    asyncio.run(ask_all())
    traces.force_flush()
    traces.shutdown()
