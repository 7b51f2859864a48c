from typing import Any

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
