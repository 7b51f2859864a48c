"""The two clients that every request needs, lent together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from reference_agent.adapters import mcp
from reference_agent.adapters.mcp import ToolClient
from reference_agent.adapters.models import ModelClient, build_model
from reference_agent.patterns.client_cache import CachedClient, ClientInit, State
from reference_agent.settings import Settings

LLM, MCP = "llm", "mcp"
EXPIRED_AFTER = 3
"""So many refusals in a row of a client that worked before mean that its credentials have expired."""
InitHook = Callable[[ClientInit], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Builders:
    """How the clients are made; `tools` is None where there is no tool server."""

    model: Callable[[], Awaitable[ModelClient]]
    tools: Callable[[], Awaitable[ToolClient]] | None = None


def client_builders(settings: Settings) -> Builders:
    """Return the builders that the settings ask for."""
    url = settings.mcp_server_url
    return Builders(
        model=lambda: build_model(settings),
        tools=(lambda: mcp.connect(url)) if url else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSet:
    """What a request works with.

    Attributes:
        model: the model's client.
        tools: the tool server's, None where there is none.
        state: `cold` when this request paid or waited for a build.
        wait_s: how long it waited.
    """

    model: ModelClient
    tools: ToolClient | None
    state: State
    wait_s: float


class Clients(Protocol):
    """Lends clients to requests."""

    def use(self) -> AbstractAsyncContextManager[ClientSet]:
        """Lend them for one request."""
        ...

    async def model_succeeded(self, used: ClientSet) -> None:
        """Note that the model answered."""
        ...

    async def credentials_refused(self, used: ClientSet) -> None:
        """Note that the model's provider refused the credentials."""
        ...

    async def tool_failed(self, used: ClientSet) -> None:
        """Note that a tool call failed."""
        ...

    async def aclose(self) -> None:
        """Close them."""
        ...


class SharedClients:
    """Built once a container, shared by all requests, and rebuilt once when they broke.

    Args:
        build: makes them.
        hook: called for each build.
        clock: seconds since any origin.
    """

    def __init__(self, build: Builders, hook: InitHook, clock: Callable[[], float] = time.monotonic) -> None:
        self._llm = CachedClient(LLM, build.model, lambda model: model.aclose(), hook=hook, clock=clock)
        self._mcp = (
            CachedClient(MCP, build.tools, lambda tools: tools.aclose(), hook=hook, clock=clock)
            if build.tools
            else None
        )
        self._last_to_succeed: ModelClient | None = None
        self._refusals = 0

    @asynccontextmanager
    async def use(self) -> AsyncIterator[ClientSet]:
        """Lend both."""
        async with AsyncExitStack() as stack:
            llm = await stack.enter_async_context(self._llm.use())
            tools = await stack.enter_async_context(self._mcp.use()) if self._mcp else None
            yield ClientSet(
                model=llm.client,
                tools=tools.client if tools else None,
                state="cold" if "cold" in {llm.state, tools.state if tools else "warm"} else "warm",
                wait_s=llm.wait_s + (tools.wait_s if tools else 0.0),
            )

    async def model_succeeded(self, used: ClientSet) -> None:
        """Note that this model client has worked."""
        self._last_to_succeed, self._refusals = used.model, 0

    async def credentials_refused(self, used: ClientSet) -> None:
        """Give up a model client that worked before and is now refused time and again.

        One that never worked is not rebuilt: its key is wrong, and building it again changes nothing. But one
        whose key is another by now is given up at once.
        """
        if used.model.outdated():
            await self._llm.invalidate(used.model, "expired")
            return
        if used.model is not self._last_to_succeed:
            return
        self._refusals += 1
        if self._refusals >= EXPIRED_AFTER:
            self._last_to_succeed, self._refusals = None, 0
            await self._llm.invalidate(used.model, "expired")

    async def tool_failed(self, used: ClientSet) -> None:
        """Give up a tool session that no longer answers; it never recovers by itself."""
        if self._mcp is not None and used.tools is not None and not await used.tools.alive():
            await self._mcp.invalidate(used.tools, "broken")

    async def aclose(self) -> None:
        """Close both."""
        await self._llm.aclose()
        if self._mcp is not None:
            await self._mcp.aclose()
