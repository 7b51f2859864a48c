"""Composes the agent: settings, telemetry, clients, store and patterns become one application."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from strands import Agent

from reference_agent import controls
from reference_agent.adapters.errors import sort
from reference_agent.adapters.sessions.open import open_store
from reference_agent.adapters.sessions.protocol import SessionStore
from reference_agent.admission import Admission, RefuseAtLimit
from reference_agent.after_answer import AfterAnswer
from reference_agent.agent import AgentService, MakeHook
from reference_agent.clients import Builders, Clients, InitHook, SharedClients, builders
from reference_agent.hooks import TransientErrorRetryHook
from reference_agent.patterns.busy_signal import BusySignal
from reference_agent.patterns.retry import RetryPolicy
from reference_agent.routes import Health, build_router
from reference_agent.settings import Settings
from reference_agent.telemetry import InitRecorder, Instruments

NEVER_BUSY = 1_000_000
SDK_RETRIES = 2
SPARE_THREADS = 8
PROBES = frozenset({"/ping", "/livez", "/readyz", "/metrics"})
OF_REQUESTS: TelemetryConfig = {
    "exclude": lambda scope: scope.get("path") in PROBES,
    "operation_spans": False,
    "logs": False,  # they hold the words of exceptions
    "auto_configure": False,
}
"""A server span and `http.server.request.duration` for each request, and nothing for the probes."""
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Parts:
    """What an application is composed of; tests put their own in."""

    settings: Settings
    store: SessionStore
    clients: Clients
    admission: Admission
    busy: BusySignal
    make_hook: MakeHook
    make_agent: Callable[..., Agent]
    health: Health = field(default_factory=Health)


def compose(
    settings: Settings, build: Builders | None = None, clock: Callable[[], float] = time.monotonic
) -> Parts:
    """Choose the parts that the settings ask for.

    Args:
        settings: from the environment.
        build: makes the clients, None for those that the settings ask for.
        clock: seconds since any origin, for the clients' cache.

    Raises:
        ValueError: there is no such session store.
    """
    wrong = settings.agent_controls
    if wrong:
        logger.warning("deliberately wrong, for a control arm: %s", ", ".join(sorted(wrong)))
    instruments = Instruments()
    limit = settings.agent_concurrency_limit
    silent = "queue-at-limit" in wrong
    queueing = silent or "queue-and-tell" in wrong
    hidden_retries = SDK_RETRIES if "sdk-retries" in wrong else 0
    busy = BusySignal(NEVER_BUSY if silent else limit, hook=instruments.busy)
    instruments.busy(busy.state)
    return Parts(
        settings=settings,
        store=open_store(settings),
        clients=_clients(
            settings,
            build or builders(settings, hidden_retries=hidden_retries),
            InitRecorder(instruments, time.time_ns),
            clock,
        ),
        admission=controls.QueueAtLimit(limit, busy) if queueing else RefuseAtLimit(busy),
        busy=busy,
        make_hook=_hook_maker(settings, instruments),
        make_agent=controls.SharedAgent() if "shared-agent" in wrong else Agent,
    )


def build_app(parts: Parts) -> FastAPI:
    """Build the application over its parts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Bedrock's client and the tool client block a thread per call: as many as there are slots.
        threads = ThreadPoolExecutor(parts.settings.agent_concurrency_limit + SPARE_THREADS)
        asyncio.get_running_loop().set_default_executor(threads)
        parts.health.started = True
        yield
        parts.health.draining = True
        await parts.clients.aclose()
        await parts.store.aclose()

    service = AgentService(
        parts.settings, parts.clients, parts.store, parts.make_hook, make_agent=parts.make_agent
    )
    after = AfterAnswer(parts.settings, parts.clients, parts.make_hook, make_agent=parts.make_agent)
    app = FastAPI(
        title="agentrig reference agent", lifespan=lifespan, openapi_url=None, telemetry=OF_REQUESTS
    )
    app.include_router(
        build_router(
            service,
            after,
            admission=parts.admission,
            busy=parts.busy,
            health=parts.health,
            store_ping=parts.store.ping,
        )
    )
    return app


def _clients(settings: Settings, build: Builders, hook: InitHook, clock: Callable[[], float]) -> Clients:
    if "per-request-clients" in settings.agent_controls:
        return controls.PerRequestClients(build, hook, clock)
    if "naive-cache" in settings.agent_controls:
        return controls.NaiveCache(build, hook)
    return SharedClients(build, hook, clock)


def _hook_maker(settings: Settings, instruments: Instruments) -> MakeHook:
    wrong = settings.agent_controls
    policy = RetryPolicy(
        max_attempts=1 if "no-retry" in wrong else settings.agent_retry_max_attempts,
        base_s=0.0 if "no-jitter" in wrong else settings.agent_retry_base_s,
        deadline_s=settings.agent_deadline_s,
    )
    classify = controls.everything_is_transient if "retry-everything" in wrong else sort

    def make(elapsed_s: Callable[[], float]) -> TransientErrorRetryHook:
        return TransientErrorRetryHook(
            policy,
            model_id=settings.agent_model_id,
            instruments=instruments,
            elapsed_s=elapsed_s,
            classify=classify,
        )

    return make
