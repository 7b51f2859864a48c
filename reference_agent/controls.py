"""Deliberately wrong behaviours, for the control arms of experiments. Never on by default.

An experiment proves something only if it fails where it has to. `AGENT_CONTROLS` names what is
to be wrong in this container; `apply` then replaces the right parts by these, from outside: none of
the files that work in a right agent knows of them.

- `per-request-clients`: every request builds its own clients and closes them after.
- `naive-cache`: clients in a cache that is checked and then filled, with a race between.
- `queue-at-limit`: requests over the limit wait inside; `/ping` says only that the process lives.
- `queue-and-tell`: the same, and `/ping` says when no slot is free.
- `no-jitter`: retries come back exactly when the server asked for them.
- `no-retry`: one attempt.
- `retry-everything`: permanent errors are retried as well.
- `sdk-retries`: the SDK's own retries stay on.
- `shared-agent`: one Agent object for all requests, which then keeps everybody's messages.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request
from opentelemetry import trace
from starlette.types import Send
from strands import Agent
from strands.models import Model
from strands.types.agent import ConcurrentInvocationMode
from typing_extensions import override

from reference_agent import contract
from reference_agent.adapters.errors import Classification, classify
from reference_agent.adapters.models import ModelClient
from reference_agent.agent import AgentService
from reference_agent.app import Parts
from reference_agent.clients import LLM, MCP, Builders, Clients, ClientSet, InitHook, SharedClients
from reference_agent.health import Health
from reference_agent.hooks import MakeHook, TransientErrorRetryHook
from reference_agent.invocations import InvocationHandler, refusal
from reference_agent.patterns.busy_signal import BusySignal, Slot
from reference_agent.patterns.client_cache import ClientInit
from reference_agent.patterns.retry import RetryPolicy
from reference_agent.telemetry.client_init import ClientInitRecorder

T = TypeVar("T")
NO_LIMIT = 1_000_000
SDK_RETRIES = 2
CLIENTS = {"sdk-retries", "per-request-clients", "naive-cache"}
RETRIES = {"no-jitter", "no-retry", "retry-everything"}
QUEUES = {"queue-at-limit", "queue-and-tell"}
logger = logging.getLogger(__name__)


def apply(parts: Parts, names: frozenset[str], clock: Callable[[], float] = time.monotonic) -> None:
    """Replace right parts by wrong ones.

    Args:
        parts: the right ones; changed.
        names: what is to be wrong.
        clock: seconds since any origin.
    """
    logger.warning("deliberately wrong, for a control arm: %s", ", ".join(sorted(names)))
    if names & CLIENTS:
        parts.clients = _clients(parts, names, clock)
    if names & RETRIES:
        parts.make_hook = _retry_hooks(parts, names)
    if "queue-at-limit" in names:
        parts.busy = BusySignal(NO_LIMIT, hook=parts.instruments.busy)
        parts.instruments.busy(parts.busy.state)
        parts.health = Health(parts.busy, parts.clients, parts.store)
    make_service = SharedAgentService if "shared-agent" in names else AgentService
    service = make_service(parts.settings, parts.clients, parts.store, parts.make_hook)
    if names & QUEUES:
        limit = parts.settings.agent_concurrency_limit
        parts.handler = QueueingHandler(
            parts.settings, service, parts.busy, parts.health, limit=limit, clock=clock
        )
    else:
        parts.handler = InvocationHandler(parts.settings, service, parts.busy, parts.health)


def _clients(parts: Parts, names: frozenset[str], clock: Callable[[], float]) -> Clients:
    builders = parts.builders
    if "sdk-retries" in names:
        builders = dataclasses.replace(builders, model=lambda: with_sdk_retries(parts.builders.model))
    hook = ClientInitRecorder(parts.instruments)
    if "per-request-clients" in names:
        return PerRequestClients(builders, hook, clock)
    if "naive-cache" in names:
        return NaiveCache(builders, hook, clock)
    return SharedClients(builders, hook, clock)


def _retry_hooks(parts: Parts, names: frozenset[str]) -> MakeHook:
    settings = parts.settings
    policy = RetryPolicy(
        max_attempts=1 if "no-retry" in names else settings.agent_retry_max_attempts,
        base_s=0.0 if "no-jitter" in names else settings.agent_retry_base_s,
        deadline_s=settings.agent_deadline_s,
    )

    def make_hook(elapsed_s: Callable[[], float]) -> TransientErrorRetryHook:
        return TransientErrorRetryHook(
            policy,
            model_id=settings.agent_model_id,
            instruments=parts.instruments,
            elapsed_s=elapsed_s,
            classify=everything_is_transient if "retry-everything" in names else classify,
        )

    return make_hook


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


class QueueingHandler(InvocationHandler):
    """Over the limit, requests wait inside, where no balancer sees them."""

    def __init__(self, *parts: Any, limit: int, clock: Callable[[], float]) -> None:
        super().__init__(*parts)
        self._free = asyncio.Semaphore(limit)
        self._clock = clock

    @override
    async def serve(self, request: Request, send: Send) -> None:
        """Answer a request, after however long it takes to get a slot."""
        if self._health.draining:
            await refusal()(request.scope, request.receive, send)
            return
        begun = self._clock()
        await self._free.acquire()
        counted = self._busy.try_acquire()

        def leave() -> None:
            self._free.release()
            if counted is not None:
                counted.release()

        trace.get_current_span().set_attribute(contract.QUEUE_WAIT_S, self._clock() - begun)
        await self.answer(request, send, Slot(leave))


class SharedAgentService(AgentService):
    """Answers every request with one Agent: it keeps what all of them said."""

    _agent: Agent | None = None

    @override
    def fresh_agent(self, *arguments: Any) -> Agent:
        """Return the one Agent."""
        if self._agent is None:
            mode = ConcurrentInvocationMode.UNSAFE_REENTRANT
            self._agent = Agent(concurrent_invocation_mode=mode, **self.agent_arguments(*arguments))
        return self._agent


async def with_sdk_retries(build: Callable[[], Awaitable[ModelClient]]) -> ModelClient:
    """Build a model client, and turn its SDK's own retries on."""
    built = await build()
    if built.client is not None:
        built.client.max_retries = SDK_RETRIES
        return built
    return ModelClient(await asyncio.to_thread(_retrying_bedrock, built.model))


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


def everything_is_transient(error: BaseException) -> Classification:
    """Classify every error as one that a retry can help."""
    return dataclasses.replace(classify(error), transient=True)
