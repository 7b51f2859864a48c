import asyncio
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from reference_agent.patterns.client_cache import ClientInit
from reference_agent.telemetry.client_init import ClientInitRecorder
from reference_agent.telemetry.instruments import Instruments
from tests.reference_agent.telemetry.measured import measured


def test_a_build_is_a_span_of_its_own_length_and_a_sample(spans: InMemorySpanExporter) -> None:
    def record(instruments: Instruments, _: Any) -> None:
        hook = ClientInitRecorder(instruments, lambda: 10_000_000_000)
        hook(ClientInit("llm", "cold", "first_use", 2.5))
        hook(ClientInit("mcp", "reinit", "broken", 1.0, ConnectionError("no route")))

    got = measured(record)
    assert got["agentrig.client.init.duration"] == [
        ({"agentrig.client.name": "llm"}, 1),
        ({"agentrig.client.name": "mcp"}, 1),
    ]
    good, bad = spans.get_finished_spans()
    assert (good.name, good.start_time, good.end_time) == ("client.init llm", 7_500_000_000, 10_000_000_000)
    assert bad.status.status_code is StatusCode.ERROR
    assert dict(bad.attributes or {})["error.type"] == "ConnectionError"


def test_what_a_build_does_lies_below_its_span(spans: InMemorySpanExporter) -> None:
    async def build() -> str:
        trace.get_tracer("t").start_span("MCP send tools/list").end()
        return "client"

    def record(instruments: Instruments, _: Any) -> None:
        recorder = ClientInitRecorder(instruments)

        async def built_once() -> None:
            assert await recorder.around("mcp", build)() == "client"
            recorder(ClientInit("mcp", "cold", "first_use", 0.1))
            recorder(ClientInit("llm", "cold", "first_use", 0.1))

        asyncio.run(built_once())

    measured(record)
    below, mcp, llm = spans.get_finished_spans()
    assert below.parent is not None
    assert mcp.context is not None
    assert below.parent.span_id == mcp.context.span_id
    assert (mcp.name, dict(mcp.attributes or {})["agentrig.client.init.state"]) == ("client.init mcp", "cold")
    assert (llm.name, llm.parent) == ("client.init llm", None)


def test_a_build_that_fails_ends_its_span_with_the_error(spans: InMemorySpanExporter) -> None:
    async def build() -> str:
        raise ConnectionError("no route")

    def record(instruments: Instruments, _: Any) -> None:
        recorder = ClientInitRecorder(instruments)

        async def built_once() -> None:
            with pytest.raises(ConnectionError) as failed:
                await recorder.around("mcp", build)()
            recorder(ClientInit("mcp", "cold", "first_use", 0.1, failed.value))

        asyncio.run(built_once())

    measured(record)
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert not span.events, "what went wrong may hold words"
