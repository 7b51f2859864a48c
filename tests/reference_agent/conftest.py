"""Spans of the agent, in memory."""

import importlib
from collections.abc import Iterator

import pytest
import strands.telemetry.tracer as strands_tracer
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reference_agent.telemetry.strands_spans import keep_words_from_strands
from tests.reference_agent.rig import exporter


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter().clear()
    yield exporter()
    exporter().clear()


@pytest.fixture
def strands_anew() -> Iterator[None]:
    """Let Strands make its tracer again, as in a new process."""
    importlib.reload(strands_tracer)
    yield
    importlib.reload(strands_tracer)
    keep_words_from_strands()  # as `exporter` left it, for the tests that follow
