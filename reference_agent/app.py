"""Composes the agent: settings, clients, store, patterns and routes become one application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from fastapi import FastAPI

from reference_agent.adapters.sessions.open import open_store
from reference_agent.adapters.sessions.protocol import SessionStore
from reference_agent.agent import AgentService
from reference_agent.clients import LLM, MCP, Builders, Clients, SharedClients, client_builders
from reference_agent.health import Health, note_build
from reference_agent.hooks import MakeHook, TransientErrorRetryHook, model_labels
from reference_agent.invocations import InvocationHandler
from reference_agent.patterns.busy_signal import BusySignal
from reference_agent.patterns.client_cache import ClientInit
from reference_agent.patterns.retry import RetryBudget, RetryPolicy
from reference_agent.routes import build_router
from reference_agent.settings import Settings
from reference_agent.telemetry.client_init import ClientInitRecorder
from reference_agent.telemetry.instruments import Instruments
from reference_agent.telemetry.redaction import settle_conventions
from reference_agent.telemetry.server_span import FASTAPIS_OWN, instrument
from reference_agent.threads import DaemonThreads

SPARE_THREADS = 8
CLOSE_S = 1.0
"""What has not been closed by then ends with the process."""


@dataclass(slots=True, kw_only=True)
class Parts:
    """What an application is composed of."""

    settings: Settings
    instruments: Instruments
    busy: BusySignal
    health: Health
    store: SessionStore
    builders: Builders
    clients: Clients
    make_hook: MakeHook
    handler: InvocationHandler


def compose(
    settings: Settings,
    *,
    builders: Builders | None = None,
    store: SessionStore | None = None,
    make_hook: MakeHook | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Parts:
    """Make the parts that the settings ask for.

    Args:
        settings: from the environment.
        builders: make the clients, None for those that the settings ask for.
        store: of the sessions, None for the one that the settings ask for.
        make_hook: makes the retry hook of a request, None for what the settings ask for.
        clock: seconds since any origin, for the clients' cache.

    Raises:
        ValueError: there is no such session store, or no key.
    """
    instruments = Instruments()
    busy = BusySignal(settings.agent_concurrency_limit, hook=instruments.busy)
    instruments.busy(busy.state)
    store = store or open_store(settings)
    builders = builders or client_builders(settings)
    record = ClientInitRecorder(instruments)

    def built(init: ClientInit) -> None:
        record(init)
        if init.name == LLM or builders.tools_required:
            note_build(busy, init)

    clients = SharedClients(recorded(builders, record), built, clock)
    health = Health(busy, clients, store)
    make_hook = make_hook or retry_hooks(settings, instruments)
    service = AgentService(settings, clients, store, make_hook)
    return Parts(
        settings=settings,
        instruments=instruments,
        busy=busy,
        health=health,
        store=store,
        builders=builders,
        clients=clients,
        make_hook=make_hook,
        handler=InvocationHandler(settings, service, busy, health),
    )


def recorded(builders: Builders, record: ClientInitRecorder) -> Builders:
    """Return builders whose builds each have a span for what they do."""
    tools = builders.tools
    return replace(
        builders,
        model=record.around(LLM, builders.model),
        tools=record.around(MCP, tools) if tools is not None else None,
    )


def retry_hooks(settings: Settings, instruments: Instruments) -> MakeHook:
    """Return what makes the retry hook of a request."""
    policy = RetryPolicy(
        max_attempts=settings.agent_retry_max_attempts,
        base_s=settings.agent_retry_base_s,
        deadline_s=settings.agent_deadline_s,
    )
    labels = model_labels(settings.agent_model_provider, settings.agent_model_id)
    budget = RetryBudget(settings.agent_retry_budget) if settings.agent_retry_budget else None

    def make_hook(elapsed_s: Callable[[], float]) -> TransientErrorRetryHook:
        return TransientErrorRetryHook(
            policy, labels=labels, instruments=instruments, elapsed_s=elapsed_s, budget=budget
        )

    return make_hook


def build_app(parts: Parts) -> FastAPI:
    """Build the application over its parts."""
    # Strands reads the environment for its first Agent, and the instrumentation for its first application.
    settle_conventions(words=parts.settings.agent_capture_message_content)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Bedrock's client blocks a thread per call: as many as there are slots.
        threads = DaemonThreads(parts.settings.agent_concurrency_limit + SPARE_THREADS, "agent")
        asyncio.get_running_loop().set_default_executor(threads)
        parts.health.begin(warm_up=parts.settings.agent_warm_up)
        yield
        parts.health.drain()
        parts.health.aclose()
        closing = [parts.clients.aclose(), parts.store.aclose()]
        await asyncio.wait(map(asyncio.ensure_future, closing), timeout=CLOSE_S)

    app = FastAPI(
        title="agentrig reference agent",
        lifespan=lifespan,
        openapi_url=None,
        telemetry=FASTAPIS_OWN,
    )
    app.include_router(build_router(parts.handler, busy=parts.busy, health=parts.health, store=parts.store))
    instrument(app)
    return app
