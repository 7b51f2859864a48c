"""The server span: whose it is, what it says, and when it ends."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from reference_agent.telemetry.instruments import SECONDS, views
from reference_agent.telemetry.redaction import settle_conventions
from reference_agent.telemetry.server_span import FASTAPIS_OWN, instrument
from tests.reference_agent.rig import Exchange, named, rig, run
from tests.reference_agent.wire import chunk, refuses, says, streamed


def test_it_is_that_of_opentelemetrys_own_package_with_the_stable_names(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async def work() -> None:
        async with rig(tmp_path, refuses(401, "invalid_api_key")) as agent:
            await agent.http.post("/invocations?q=x", json={"prompt": "hi"})

    run(work())
    (server,) = named(spans.get_finished_spans(), "POST /invocations")
    assert server.instrumentation_scope is not None
    assert server.instrumentation_scope.name == "opentelemetry.instrumentation.fastapi"
    assert (server.kind, server.status.status_code) == (SpanKind.SERVER, StatusCode.ERROR)
    assert server.attributes == {
        "error.type": "502",
        "http.request.method": "POST",
        "http.response.status_code": 502,
        "http.route": "/invocations",
        "network.protocol.version": "1.1",
        "server.address": "agent",
        "server.port": 8080,
        "url.path": "/invocations",
        "url.scheme": "http",
    }
    assert not server.events


def test_a_stream_has_it_end_with_the_last_byte(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async def work() -> None:
        async with rig(tmp_path, streamed(chunk({"content": "a"}), None)) as agent:
            exchange = Exchange(agent.app, {"accept": "text/event-stream"}).begin()
            await exchange.until(lambda: exchange.items == [{"delta": "a"}])
            assert not named(spans.get_finished_spans(), "POST /invocations")
            exchange.gone.set()
            await exchange.ended()
            assert named(spans.get_finished_spans(), "POST /invocations")

    run(work())


def test_whoever_answers_late_after_its_last_byte_does_not_make_it_longer(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("a")) as agent:
            exchange = Exchange(agent.app, {"accept": "text/event-stream"}).begin()
            await exchange.until(lambda: any(sent.get("more_body") is False for sent in exchange.sent))
            assert named(spans.get_finished_spans(), "POST /invocations")
            await exchange.ended()

    run(work())
    assert len(named(spans.get_finished_spans(), "POST /invocations")) == 1


@pytest.mark.parametrize("path", ["/work", "/ping"])
def test_a_request_is_timed_in_seconds_and_once_and_a_probe_never(path: str) -> None:
    settle_conventions(words=False)
    reader = InMemoryMetricReader()
    app = FastAPI(telemetry=FASTAPIS_OWN)
    app.get(path)(lambda: "ok")
    instrument(app, MeterProvider([reader], views=views()))

    async def work() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://agent") as http:
            assert (await http.get(path)).status_code == 200

    run(work())
    found: dict[str, Any] = {}
    if data := reader.get_metrics_data():
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        found = {metric.name: list(metric.data.data_points) for metric in metrics}
    if path == "/ping":
        assert not found
        return
    assert set(found) == {"http.server.request.duration"}
    (point,) = found["http.server.request.duration"]
    assert (point.count, tuple(point.explicit_bounds)) == (1, SECONDS)
    assert point.sum < SECONDS[-1]
    assert dict(point.attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": path,
        "network.protocol.version": "1.1",
        "url.scheme": "http",
    }


@pytest.mark.parametrize(
    "header", ["host", "user-agent", "traceparent", "baggage", "content-length", "x-other"]
)
@pytest.mark.parametrize("value", [b"\xff\\", b"\xffa\\x", b"\xff\\N{x}", "é\\".encode(), b"\xe9\\", b"["])
def test_a_header_of_any_bytes_hinders_no_request(
    header: str, value: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", ".*")
    settle_conventions(words=False)
    app = FastAPI(telemetry=FASTAPIS_OWN)

    @app.get("/work")
    async def work() -> dict[str, Any]:
        return {}

    instrument(app)

    async def asked() -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        # As uvicorn hands it on: a client of HTTP would refuse to send some of these.
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/work",
            "query_string": b"",
            "headers": [(header.encode(), value)],
            "scheme": "http",
            "server": ("127.0.0.1", 8080),
        }
        await app(scope, receive, send)
        return sent

    assert run(asked())[0]["status"] == 200
