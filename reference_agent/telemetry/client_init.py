"""A span and a sample for each build of a client."""

from __future__ import annotations

import time
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from reference_agent import contract
from reference_agent.patterns.client_cache import ClientInit
from reference_agent.telemetry.instruments import Instruments

_tracer = trace.get_tracer("reference_agent")


class ClientInitRecorder:
    """The client cache's hook: called when a build has ended, in the context of the request that pays for it.

    Args:
        instruments: counts the builds.
        now_ns: Unix time in nanoseconds.
    """

    def __init__(self, instruments: Instruments, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._instruments = instruments
        self._now_ns = now_ns

    def __call__(self, init: ClientInit) -> None:
        """Record one build."""
        end_ns = self._now_ns()
        attributes = {
            contract.CLIENT_NAME: init.name,
            contract.CLIENT_INIT_STATE: init.state,
            contract.CLIENT_INIT_REASON: init.reason,
        }
        start_ns = end_ns - int(init.duration_s * 1e9)
        span = _tracer.start_span(f"client.init {init.name}", attributes=attributes, start_time=start_ns)
        if init.error is not None:
            span.set_attribute("error.type", type(init.error).__name__)
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_ns)
        self._instruments.init_duration.record(init.duration_s, {contract.CLIENT_NAME: init.name})
