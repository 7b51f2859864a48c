"""A small agent: a session is loaded, a model is asked, its answer is the answer."""

import asyncio
import json
import os
import time
import zlib

import httpx
import uvicorn
from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

LIMIT = int(os.environ["CONCURRENCY_LIMIT"])
URL = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("agent")
client = httpx.AsyncClient()
slots = asyncio.Semaphore(LIMIT)
sessions: dict[str, int] = {}


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/ping":
        await answer(send, 200, {"status": "HealthyBusy" if slots.locked() else "Healthy"})
        return
    if slots.locked():
        await answer(send, 503, None)
        return
    begun = time.perf_counter()
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    body = b""
    while True:
        part = await receive()
        body += part.get("body", b"")
        if not part.get("more_body"):
            break
    prompt = json.loads(body)["prompt"]
    async with slots:
        attributes = {"http.request.method": "POST", "http.route": "/invocations"}
        with tracer.start_as_current_span(
            "POST /invocations", propagate.extract(headers), SpanKind.SERVER, attributes
        ) as span:
            status, said = await invoke(prompt, begun)
            span.set_attribute("http.response.status_code", status)
    await answer(send, status, said)


async def invoke(prompt, begun):
    load_session(prompt)
    return 200, {"answer": await ask(prompt)}


def load_session(prompt):
    with tracer.start_as_current_span("session.load"):
        sessions[prompt] = zlib.crc32(prompt.encode())


async def ask(prompt):
    chat = {"gen_ai.operation.name": "chat"}
    with tracer.start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=chat):
        return await attempt(client, prompt)


async def attempt(http, prompt):
    post = {"http.request.method": "POST"}
    with tracer.start_as_current_span("POST", kind=SpanKind.CLIENT, attributes=post) as span:
        headers = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
        propagate.inject(headers)
        asked = {"model": "any", "messages": [{"role": "user", "content": prompt}]}
        got = await http.post(URL, json=asked, headers=headers)
        span.set_attribute("http.response.status_code", got.status_code)
        return got.raise_for_status().json()["choices"][0]["message"]["content"]


async def answer(send, status, content):
    body = b"" if content is None else json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", lifespan="off")
