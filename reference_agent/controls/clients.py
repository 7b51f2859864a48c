"""Clients that are built too often, and answers and errors that are taken for others."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import httpx
from strands.models import Model
from strands.models.openai import OpenAIModel
from typing_extensions import override

from reference_agent.adapters.lean_openai import LeanClient
from reference_agent.adapters.models import ModelClient, openai_model
from reference_agent.adapters.proxies import ByEnvironment
from reference_agent.app import Parts
from reference_agent.clients import LLM, MCP, Builders, Clients, ClientSet, InitHook, SharedClients
from reference_agent.controls.often import EACH_SO_MANY
from reference_agent.patterns.client_cache import ClientInit
from reference_agent.settings import Settings
from reference_agent.telemetry.client_init import ClientInitRecorder

T = TypeVar("T")
SDK_RETRIES = 2
FORGETS = {"tools-rebuilt", "tools-rebuilt-untold"}
GIVEN_UP_S = 60.0
"""So long a breaker that nobody closes keeps the model away."""
NAMES = {
    *("sdk-retries", "per-request-clients", "naive-cache", "cut-is-whole"),
    *("keeps-its-tools", "gives-model-up"),
    *FORGETS,
}


def wrong_clients(parts: Parts, names: frozenset[str], clock: Callable[[], float]) -> Clients:
    """Return the clients that the names ask for."""
    builders = parts.builders
    if "sdk-retries" in names:
        builders = dataclasses.replace(builders, model=lambda: with_sdk_retries(parts.builders.model))
    if "gives-model-up" in names:
        builders = dataclasses.replace(builders, model=lambda: given_up(parts.settings, clock))
    if "cut-is-whole" in names:
        builders = dataclasses.replace(builders, model=lambda: with_cut_answers(parts.builders.model))
    hook = ClientInitRecorder(parts.instruments)
    if "per-request-clients" in names:
        return PerRequestClients(builders, hook, clock)
    if "naive-cache" in names:
        return NaiveCache(builders, hook, clock)
    if names & FORGETS:
        told = hook if "tools-rebuilt" in names else first_builds_alone(hook)
        return ForgetfulClients(builders, told, clock)
    kind = KeepsItsTools if "keeps-its-tools" in names else SharedClients
    return kind(builders, hook, clock)


class PerRequestClients:
    """Clients built for each request and closed after it."""

    def __init__(self, builders: Builders, hook: InitHook, clock: Callable[[], float]) -> None:
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

    def model_succeeded(self, used: ClientSet) -> None:
        """Nothing is kept that could be noted."""

    def credentials_refused(self, used: ClientSet) -> None:
        """Nothing is kept that could expire."""

    def tool_failed(self, used: ClientSet) -> None:
        """Nothing is kept that could break."""

    def renew(self) -> None:
        """Nothing is kept that could be of another time."""

    async def aclose(self) -> None:
        """Nothing is left open."""


class NaiveCache(PerRequestClients):
    """`if it isn't there: build it`: those who come while it is built, build it as well."""

    _kept: ClientSet | None = None

    @override
    @asynccontextmanager
    async def use(self) -> AsyncIterator[ClientSet]:
        """Lend what is kept, else build."""
        if self._kept is None:
            self._kept = await self._build_both()
            yield self._kept
        else:
            yield dataclasses.replace(self._kept, state="warm", wait_s=0.0)


class ForgetfulClients(SharedClients):
    """Gives up its tool client after so many requests, although nothing is wrong with it."""

    _used = 0

    @override
    @asynccontextmanager
    async def use(self) -> AsyncIterator[ClientSet]:
        """Lend both, and give one up now and then."""
        async with super().use() as used:
            yield used
        self._used += 1
        if self._used % EACH_SO_MANY == 0 and self._mcp is not None and used.tools is not None:
            self._mcp.invalidate(used.tools, "expired")


class KeepsItsTools(SharedClients):
    """Goes on with the tool session that it has, whatever becomes of its calls."""

    @override
    @asynccontextmanager
    async def use(self) -> AsyncIterator[ClientSet]:
        """Lend both, and open no other session."""
        async with super().use() as used:
            yield dataclasses.replace(used, tools_anew=None)

    @override
    def tool_failed(self, used: ClientSet) -> None:
        """Nobody looks."""


class Breaker(httpx.AsyncBaseTransport):
    """Sends nothing for a minute once a connection could not be opened.

    Args:
        inner: what really sends.
        clock: seconds since any origin.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, clock: Callable[[], float]) -> None:
        self._inner = inner
        self._clock = clock
        self._until = 0.0

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, or say that the model is gone."""
        if self._clock() < self._until:
            raise httpx.ConnectError("the model was gone, and is taken to be still", request=request)
        try:
            return await self._inner.handle_async_request(request)
        except httpx.ConnectError:
            self._until = self._clock() + GIVEN_UP_S
            raise

    @override
    async def aclose(self) -> None:
        """Close what really sends."""
        await self._inner.aclose()


async def given_up(settings: Settings, clock: Callable[[], float]) -> ModelClient:
    """Build a model client that gives the model up once it can't be reached (OpenAI)."""
    return openai_model(settings, Breaker(ByEnvironment(httpx.Limits()), clock))


def first_builds_alone(hook: InitHook) -> InitHook:
    """Return a hook that tells of no build after the first."""

    def told(init: ClientInit) -> None:
        if init.state == "cold":
            hook(init)

    return told


async def with_sdk_retries(build: Callable[[], Awaitable[ModelClient]]) -> ModelClient:
    """Build a model client, and turn its SDK's own retries on."""
    built = await build()
    if built.client is not None:
        built.client.max_retries = SDK_RETRIES
        return built
    return ModelClient(await asyncio.to_thread(_retrying_bedrock, built.model))


async def with_cut_answers(build: Callable[[], Awaitable[ModelClient]]) -> ModelClient:
    """Build a model client that looks for no end of an answer, as Strands' own does not."""
    built = await build()
    if built.client is None:
        return built
    config: dict[str, Any] = dict(built.model.get_config())
    kept = {name: config[name] for name in ("model_id", "stream") if name in config}
    return ModelClient(OpenAIModel(client=LeanClient(built.client), **kept), built.client)


def _retrying_bedrock(model: Any) -> Model:
    # boto3 is an extra of its own. It takes its retries when a client is made, and not later.
    from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415 - untyped; see above

    client = model.client.meta
    retries: Any = Config(retries={"total_max_attempts": 1 + SDK_RETRIES, "mode": "standard"})
    retrying: Model = type(model)(
        boto_client_config=client.config.merge(retries),
        endpoint_url=client.endpoint_url,
        region_name=client.region_name,
        **model.config,
    )
    return retrying
