"""Spans of the agent, in memory."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.reference_agent.rig import exporter


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter().clear()
    yield exporter()
    exporter().clear()
