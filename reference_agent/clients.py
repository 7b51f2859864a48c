"""The two clients that every request needs, lent together."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from reference_agent.adapters import mcp
from reference_agent.adapters.keys import openai_key
from reference_agent.adapters.mcp import ToolClient
from reference_agent.adapters.models import ModelClient, build_model, http_address, openai_address
from reference_agent.patterns.client_cache import (
    CachedClient,
    ClientInit,
    ClientUnavailableError,
    State,
)
from reference_agent.settings import Settings

LLM, MCP = "llm", "mcp"
EXPIRED_AFTER = 3
"""So many refusals in a row of a client that worked before mean that its credentials have expired."""
InitHook = Callable[[ClientInit], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Builders:
    """How the clients are made.

    Attributes:
        model: makes the model's.
        tools: makes the tool server's, None where there is none.
        tools_required: whether a request fails when there are no tools.
        build_s: after which a build is given up.
    """

    model: Callable[[], Awaitable[ModelClient]]
    tools: Callable[[], Awaitable[ToolClient]] | None = None
    tools_required: bool = True
    build_s: float = 15.0


def client_builders(settings: Settings) -> Builders:
    """Return the builders that the settings ask for.

    Raises:
        ValueError: they can't be used without a key, and there is none that can be sent; or the address of
            the model or of the tool server, or the proxy in front of the model, is none.
    """
    if settings.agent_model_provider == "openai":
        openai_key(settings)
        openai_address(settings)
    elif settings.aws_endpoint_url_bedrock_runtime:
        http_address(settings.aws_endpoint_url_bedrock_runtime, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME")
    url = settings.mcp_server_url
    if url:
        http_address(url, "MCP_SERVER_URL")
    return Builders(
        model=lambda: build_model(settings),
        tools=(lambda: mcp.connect(url)) if url else None,
        tools_required=settings.agent_tools_required,
        build_s=settings.agent_client_build_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSet:
    """What a request works with.

    Attributes:
        model: the model's client.
        tools: the tool server's, None where there is none.
        state: `cold` when this request paid or waited for a build.
        wait_s: how long it waited.
        without_tools: whether there should be tools, and they could not be had.
        tools_anew: opens a tool session in place of one that is lost, and lends it for the rest of the
            request; returns None where there is none to be had. None where nobody does that.
    """

    model: ModelClient
    tools: ToolClient | None
    state: State
    wait_s: float
    without_tools: bool = False
    tools_anew: Callable[[], Awaitable[ToolClient | None]] | None = None


class Clients(Protocol):
    """Lends clients to requests. What is noted never waits: an answer is worth more than its housekeeping."""

    def use(self) -> AbstractAsyncContextManager[ClientSet]:
        """Lend them for one request."""
        ...

    def model_succeeded(self, used: ClientSet) -> None:
        """Note that the model answered."""
        ...

    def credentials_refused(self, used: ClientSet) -> None:
        """Note that the model's provider refused the credentials."""
        ...

    def tool_failed(self, used: ClientSet) -> None:
        """Note that a tool call failed, or did not come back."""
        ...

    def renew(self) -> None:
        """Give up what is there: its connections and tokens are of another time."""
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
        self._llm = CachedClient(
            LLM, build.model, lambda model: model.aclose(), build_s=build.build_s, hook=hook, clock=clock
        )
        self._mcp = (
            CachedClient(
                MCP, build.tools, lambda tools: tools.aclose(), build_s=build.build_s, hook=hook, clock=clock
            )
            if build.tools
            else None
        )
        self._tools_required = build.tools_required
        self._last_to_succeed: ModelClient | None = None
        self._refusals = 0
        self._looking: dict[ToolClient, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def use(self) -> AsyncIterator[ClientSet]:
        """Lend both."""
        async with AsyncExitStack() as stack:
            llm = await stack.enter_async_context(self._llm.use())
            tools = None
            with (
                contextlib.nullcontext()
                if self._tools_required
                else contextlib.suppress(ClientUnavailableError)
            ):
                tools = await stack.enter_async_context(self._mcp.use()) if self._mcp else None

            async def anew() -> ToolClient | None:
                if self._mcp is None or tools is None:
                    return None
                self._mcp.invalidate(tools.client, "broken")
                with contextlib.suppress(ClientUnavailableError):
                    return (await stack.enter_async_context(self._mcp.use())).client
                return None

            yield ClientSet(
                model=llm.client,
                tools=tools.client if tools else None,
                state="cold" if "cold" in {llm.state, tools.state if tools else "warm"} else "warm",
                wait_s=llm.wait_s + (tools.wait_s if tools else 0.0),
                without_tools=tools is None and self._mcp is not None,
                tools_anew=anew,
            )

    def model_succeeded(self, used: ClientSet) -> None:
        """Note that this model client has worked."""
        self._last_to_succeed, self._refusals = used.model, 0

    def credentials_refused(self, used: ClientSet) -> None:
        """Give up a model client that worked before and is now refused time and again.

        One that never worked is not rebuilt: its key is wrong, and building it again changes nothing. But one
        whose key is another by now is given up at once.
        """
        if used.model.outdated():
            self._llm.invalidate(used.model, "expired")
            return
        if used.model is not self._last_to_succeed:
            return
        self._refusals += 1
        if self._refusals >= EXPIRED_AFTER:
            self._last_to_succeed, self._refusals = None, 0
            self._llm.invalidate(used.model, "expired")

    def tool_failed(self, used: ClientSet) -> None:
        """Look whether a tool session still answers; it never recovers by itself."""
        if used.tools is not None and used.tools not in self._looking:
            self._looking[used.tools] = asyncio.create_task(self._look(used.tools))

    async def _look(self, tools: ToolClient) -> None:
        try:
            if self._mcp is not None and not await tools.alive():
                self._mcp.invalidate(tools, "broken")
        finally:
            self._looking.pop(tools)

    def renew(self) -> None:
        """Let the next request build both anew."""
        self._llm.invalidate(None, "expired")
        if self._mcp is not None:
            self._mcp.invalidate(None, "expired")

    async def aclose(self) -> None:
        """Close both."""
        for looking in tuple(self._looking.values()):
            looking.cancel()
        await asyncio.gather(self._llm.aclose(), *([self._mcp.aclose()] if self._mcp else []))
