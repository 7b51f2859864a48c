"""A container that does not know that it was restored, or draws what all copies of its snapshot draw."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from typing_extensions import override

from reference_agent.app import Parts
from reference_agent.clients import ClientSet, SharedClients
from reference_agent.health import Health
from reference_agent.telemetry.client_init import ClientInitRecorder

NAMES = {"spans-from-random", "trusts-its-sockets", "renews-often"}
RENEWALS = 5


def make_wrong(parts: Parts, names: frozenset[str], clock: Callable[[], float]) -> None:
    """Replace right parts by those that the names ask for."""
    if "spans-from-random" in names:
        draw_spans_from_random()
    if "renews-often" in names:
        parts.clients = RenewingClients(parts.builders, ClientInitRecorder(parts.instruments), clock)
        parts.health = Health(parts.busy, parts.clients, parts.store)
    if "trusts-its-sockets" in names:  # one clock never goes apart from itself
        parts.health = Health(parts.busy, parts.clients, parts.store, now=clock, monotonic=clock)


def draw_spans_from_random() -> None:
    """Let the tracers that are there draw their ids from Python's own generator."""
    ids: Any = getattr(trace.get_tracer_provider(), "id_generator", None)
    drawn = RandomIdGenerator()
    if ids is not None:  # one for all tracers; without telemetry there is none
        ids.generate_span_id = drawn.generate_span_id
        ids.generate_trace_id = drawn.generate_trace_id


def drawn_id() -> str:
    """Return an id from Python's own generator."""
    return f"{random.getrandbits(128):032x}"


class RenewingClients(SharedClients):
    """Once it has to renew its clients, it does so for several requests."""

    _again = 0

    @override
    def renew(self) -> None:
        """Give up what is there, now and for the next requests."""
        self._again = RENEWALS
        super().renew()

    @override
    @asynccontextmanager
    async def use(self) -> AsyncIterator[ClientSet]:
        """Lend both."""
        if self._again > 0:
            self._again -= 1
            super().renew()
        async with super().use() as used:
            yield used
