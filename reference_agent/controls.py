"""Deliberately wrong behaviours, for the control arms of experiments. Never on by default.

An experiment proves something only if it fails where it has to. `AGENT_CONTROLS` names what is
to be wrong in this container, and `app.py` then composes it with these parts in place of the right
ones:

- `per-request-clients`: every request builds its own clients and closes them after.
- `naive-cache`: clients in a cache that is checked and then filled, with a race between.
- `queue-at-limit`: requests over the limit wait inside; `/ping` tells of liveness only.
- `queue-and-tell`: the same, and `/ping` tells when no slot is free.
- `no-jitter`: retries come back exactly when they were told to.
- `no-retry`: one attempt.
- `retry-everything`: permanent errors are retried as well.
- `sdk-retries`: the SDK's hidden retries stay on.
- `shared-agent`: one Agent object for all requests, which then keeps everybody's messages.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from strands import Agent
from strands.types.agent import ConcurrentInvocationMode

from reference_agent.adapters.errors import Sorted, sort
from reference_agent.admission import Admitted
from reference_agent.clients import LLM, MCP, Builders, ClientSet, InitHook
from reference_agent.patterns.busy_signal import BusySignal, Slot
from reference_agent.patterns.client_cache import ClientInit

T = TypeVar("T")


class PerRequestClients:
    """Clients built for each request and closed after it."""

    def __init__(
        self, builders: Builders, hook: InitHook, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._builders = builders
        self._hook = hook
        self._clock = clock

    @asynccontextmanager
    async def use(self) -> AsyncIterator[ClientSet]:
        """Build both, and close them after."""
        async with AsyncExitStack() as stack:
            built = await self._build_both()
            stack.push_async_callback(built.model.aclose)
            if built.tools is not None:
                stack.push_async_callback(built.tools.aclose)
            yield built

    async def _build_both(self) -> ClientSet:
        begun = self._clock()
        model = await self._built(LLM, self._builders.model())
        tools = await self._built(MCP, self._builders.tools()) if self._builders.tools else None
        return ClientSet(model=model, tools=tools, state="cold", wait_s=self._clock() - begun)

    async def _built(self, name: str, building: Awaitable[T]) -> T:
        begun = self._clock()
        client = await building
        self._hook(ClientInit(name, "cold", "first_use", self._clock() - begun))
        return client

    async def worked(self, used: ClientSet) -> None:
        """Nothing is kept that could be told."""

    async def refused(self, used: ClientSet) -> None:
        """Nothing is kept that could expire."""

    async def tool_failed(self, used: ClientSet) -> None:
        """Nothing is kept that could break."""

    async def aclose(self) -> None:
        """Nothing is left open."""


class NaiveCache(PerRequestClients):
    """`if it isn't there: build it`: those who come while it is built, build it as well."""

    _kept: ClientSet | None = None

    @asynccontextmanager
    async def use(self) -> AsyncIterator[ClientSet]:
        """Lend what is kept, else build."""
        if self._kept is None:
            self._kept = await self._build_both()
            yield self._kept
        else:
            yield dataclasses.replace(self._kept, state="warm", wait_s=0.0)


class QueueAtLimit:
    """Over the limit, wait inside, where no balancer sees it."""

    def __init__(self, limit: int, busy: BusySignal, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = asyncio.Semaphore(limit)
        self._busy = busy
        self._clock = clock

    async def enter(self) -> Admitted | None:
        """Return a slot, after however long it takes."""
        begun = self._clock()
        await self._free.acquire()
        counted = self._busy.try_acquire()

        def leave() -> None:
            self._free.release()
            if counted is not None:
                counted.release()

        return Admitted(Slot(leave), self._clock() - begun)


class SharedAgent:
    """Makes one Agent and gives it to every request: it keeps what all of them said."""

    def __init__(self) -> None:
        self._agent: Agent | None = None

    def __call__(self, **arguments: Any) -> Agent:
        """Return the one Agent."""
        if self._agent is None:
            self._agent = Agent(
                concurrent_invocation_mode=ConcurrentInvocationMode.UNSAFE_REENTRANT, **arguments
            )
        return self._agent


def everything_is_transient(error: BaseException) -> Sorted:
    """Sort every error as one that a retry can help."""
    return dataclasses.replace(sort(error), transient=True)
