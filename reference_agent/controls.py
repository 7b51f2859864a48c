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
- `ignore-retry-after`: retries come after the agent's own backoff, whatever the server asked for.
- `pause-after-outage`: a model that was overloaded is left alone by the whole container, for too long.
- `cut-is-whole`: a stream that ends without its finish reason is taken for an answer (OpenAI).
- `fails-at-times`: every so many requests one is answered 500, for no reason.
- `slow-at-times`: every so many requests one waits, for no reason.
- `tools-rebuilt`: every so many requests the tool client is given up and built again, for no reason.
- `tools-rebuilt-untold`: the same, and no span tells of it.
- `saves-late`: the turn is saved after its answer has gone out.
- `slot-twice`: after an error, a slot is given back twice.
- `ping-constant`: `/ping` says that the process lives, whatever it has in work.
- `stamp-at-poll`: while the container is busy, the stamp of `/ping` is the time at which it is asked.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse
from opentelemetry import trace
from starlette.types import Message, Send
from strands import Agent
from strands.hooks import AfterModelCallEvent, BeforeModelCallEvent
from strands.models import Model
from strands.models.openai import OpenAIModel
from strands.types.agent import ConcurrentInvocationMode
from typing_extensions import override

from reference_agent import contract
from reference_agent.adapters.errors import Classification, classify
from reference_agent.adapters.lean_openai import LeanClient
from reference_agent.adapters.models import ModelClient
from reference_agent.adapters.sessions.protocol import History, Turn
from reference_agent.agent import AgentService
from reference_agent.app import Parts
from reference_agent.clients import LLM, MCP, Builders, Clients, ClientSet, InitHook, SharedClients
from reference_agent.health import Health
from reference_agent.hooks import MakeHook, TransientErrorRetryHook, model_labels
from reference_agent.invocations import InvocationHandler, refusal
from reference_agent.patterns.busy_signal import BusySignal, Slot, Status
from reference_agent.patterns.client_cache import ClientInit
from reference_agent.patterns.retry import RetryPolicy
from reference_agent.request import Invocation
from reference_agent.telemetry.client_init import ClientInitRecorder

T = TypeVar("T")
NO_LIMIT = 1_000_000
SDK_RETRIES = 2
PAUSE_S = 8.0
EACH_SO_MANY = 12
SLOW_S = 3.0
LATE_S = 0.02
OVERLOADED = {"overloaded", "overloaded_error", "http_503", "http_529"}
FORGETS = {"tools-rebuilt", "tools-rebuilt-untold"}
CLIENTS = {"sdk-retries", "per-request-clients", "naive-cache", "cut-is-whole", *FORGETS}
RETRIES = {"no-jitter", "no-retry", "retry-everything", "ignore-retry-after", "pause-after-outage"}
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
        parts.make_hook = _retry_hooks(parts, names, clock)
    if "queue-at-limit" in names:
        parts.busy = BusySignal(NO_LIMIT, hook=parts.instruments.busy)
        parts.instruments.busy(parts.busy.state)
        parts.health = Health(parts.busy, parts.clients, parts.store)
    for name, kind in SIGNALS.items():
        if name in names:
            parts.busy = kind(parts.settings.agent_concurrency_limit, hook=parts.instruments.busy)
            parts.instruments.busy(parts.busy.state)
            parts.health = Health(parts.busy, parts.clients, parts.store)
    make_service = next((made for name, made in SERVICES.items() if name in names), AgentService)
    service = make_service(parts.settings, parts.clients, parts.store, parts.make_hook)
    if names & QUEUES:
        limit = parts.settings.agent_concurrency_limit
        parts.handler = QueueingHandler(
            parts.settings, service, parts.busy, parts.health, limit=limit, clock=clock
        )
    else:
        make_handler = next((made for name, made in HANDLERS.items() if name in names), InvocationHandler)
        parts.handler = make_handler(parts.settings, service, parts.busy, parts.health)


def _clients(parts: Parts, names: frozenset[str], clock: Callable[[], float]) -> Clients:
    builders = parts.builders
    if "sdk-retries" in names:
        builders = dataclasses.replace(builders, model=lambda: with_sdk_retries(parts.builders.model))
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
    return SharedClients(builders, hook, clock)


def _retry_hooks(parts: Parts, names: frozenset[str], clock: Callable[[], float]) -> MakeHook:
    settings = parts.settings
    policy = RetryPolicy(
        max_attempts=1 if "no-retry" in names else settings.agent_retry_max_attempts,
        base_s=0.0 if "no-jitter" in names else settings.agent_retry_base_s,
        deadline_s=settings.agent_deadline_s,
    )

    classified = classify
    if "retry-everything" in names:
        classified = everything_is_transient
    if "ignore-retry-after" in names:
        classified = never_told_when
    pause = Pause(clock) if "pause-after-outage" in names else None

    def make_hook(elapsed_s: Callable[[], float]) -> TransientErrorRetryHook:
        make = TransientErrorRetryHook if pause is None else functools.partial(PausingRetryHook, pause)
        return make(
            policy,
            labels=model_labels(settings.agent_model_provider, settings.agent_model_id),
            instruments=parts.instruments,
            elapsed_s=elapsed_s,
            classify=classified,
        )

    return make_hook


class Pause:
    """When a whole container leaves the model alone."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._from = math.inf
        self._until = 0.0

    def plan(self, asked_s: float) -> None:
        """Let it begin when the model asked to be called again, and last long after that."""
        begins = self._clock() + asked_s
        self._from, self._until = min(self._from, begins), max(self._until, begins + PAUSE_S)

    @property
    def left_s(self) -> float:
        """Seconds that are left of it, 0.0 before it begins."""
        now = self._clock()
        return max(0.0, self._until - now) if now >= self._from else 0.0


class PausingRetryHook(TransientErrorRetryHook):
    """Holds each model call back while a pause lasts, also those that nothing was wrong with."""

    def __init__(self, pause: Pause, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._pause = pause

    @override
    async def before(self, event: BeforeModelCallEvent) -> None:
        await self._sleep(self._pause.left_s)
        await super().before(event)

    @override
    async def after(self, event: AfterModelCallEvent) -> None:
        found = classify(event.exception) if event.exception else None
        if found and found.error_type in OVERLOADED:
            self._pause.plan(found.retry_after_s or 0.0)
        await super().after(event)


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


class FailingHandler(InvocationHandler):
    """One request of so many is answered 500, and nothing was the matter."""

    _came = 0

    @override
    async def serve(self, request: Request, send: Send) -> None:
        """Answer a request, or fail it."""
        self._came += 1
        if self._came % EACH_SO_MANY:
            await super().serve(request, send)
        else:
            failure = JSONResponse({"error": "internal", "error_type": "control"}, 500)
            await failure(request.scope, request.receive, send)


class SlowHandler(InvocationHandler):
    """One request of so many waits, and nothing was the matter."""

    _came = 0

    @override
    async def answer(self, request: Request, send: Send, slot: Slot) -> None:
        """Answer a request that has a slot, at once or after a while."""
        self._came += 1
        if self._came % EACH_SO_MANY == 0:
            await self._sleep(SLOW_S)
        await super().answer(request, send, slot)


class GivesBackTwice(InvocationHandler):
    """Gives a slot back where a request failed, and where it ends."""

    @override
    async def answer(self, request: Request, send: Send, slot: Slot) -> None:
        """Answer a request that has a slot."""

        async def sent(message: Message) -> None:
            if message.get("status", 0) >= HTTPStatus.INTERNAL_SERVER_ERROR:
                self._busy._count(-1)  # noqa: SLF001 - a Slot itself gives back but once
            await send(message)

        await super().answer(request, sent, slot)


HANDLERS = {
    "fails-at-times": FailingHandler,
    "slow-at-times": SlowHandler,
    "slot-twice": GivesBackTwice,
}


class ConstantPing(BusySignal):
    """Says that the process lives."""

    @property
    @override
    def status(self) -> Status:
        """`Healthy`."""
        return "Healthy"


class StampAtPoll(BusySignal):
    """Stamps the poll, while no slot is free."""

    @property
    @override
    def status(self) -> Status:
        """As it is; and who asks while no slot is free is told that this has just changed."""
        if self.state.busy:
            self.restamp()
        return super().status


SIGNALS = {"ping-constant": ConstantPing, "stamp-at-poll": StampAtPoll}


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


class LateService(AgentService):
    """Answers first, and saves the turn after."""

    sleep = staticmethod(asyncio.sleep)

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._saving: set[asyncio.Task[Any]] = set()

    @override
    async def _save(self, invocation: Invocation, history: History, turn: Turn) -> dict[str, Any]:
        task = asyncio.create_task(self._save_late(invocation, history, turn))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)
        return turn.answer

    async def _save_late(self, *arguments: Any) -> None:
        await self.sleep(LATE_S)
        await super()._save(*arguments)


SERVICES = {"shared-agent": SharedAgentService, "saves-late": LateService}


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


def everything_is_transient(error: BaseException) -> Classification:
    """Classify every error as one that a retry can help."""
    return dataclasses.replace(classify(error), transient=True)


def never_told_when(error: BaseException) -> Classification:
    """Classify an error as if the server had asked for nothing."""
    return dataclasses.replace(classify(error), retry_after_s=None)
