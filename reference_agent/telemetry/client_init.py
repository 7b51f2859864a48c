"""A span and a sample for each build of a client; what the build itself does lies below it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode, use_span

from reference_agent import contract
from reference_agent.patterns.client_cache import ClientInit
from reference_agent.telemetry.instruments import Instruments

T = TypeVar("T")
_tracer = trace.get_tracer("reference_agent")
_building: ContextVar[Span | None] = ContextVar("building", default=None)
"""The span of the build that this task does."""


class ClientInitRecorder:
    """The client cache's hook: called when a build has ended, in the context of the request that pays for it.

    Args:
        instruments: counts the builds.
        now_ns: Unix time in nanoseconds.
    """

    def __init__(self, instruments: Instruments, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._instruments = instruments
        self._now_ns = now_ns

    def around(self, name: str, build: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """Return what builds the same, with the span of the build as the current one meanwhile."""

        async def building() -> T:
            span = _tracer.start_span(f"client.init {name}", start_time=self._now_ns())
            _building.set(span)
            with use_span(span, record_exception=False, set_status_on_exception=False):
                return await build()

        return building

    def __call__(self, init: ClientInit) -> None:
        """Record one build."""
        end_ns = self._now_ns()
        attributes = {
            contract.CLIENT_NAME: init.name,
            contract.CLIENT_INIT_STATE: init.state,
            contract.CLIENT_INIT_REASON: init.reason,
        }
        span = _building.get()
        _building.set(None)
        if span is None:
            start_ns = end_ns - int(init.duration_s * 1e9)
            span = _tracer.start_span(f"client.init {init.name}", start_time=start_ns)
        span.set_attributes(attributes)
        if init.error is not None:
            span.set_attribute("error.type", type(init.error).__name__)
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_ns)
        self._instruments.init_duration.record(init.duration_s, {contract.CLIENT_NAME: init.name})
