"""The reference agent, broken on purpose: `BROKEN=<way> python -m tests.proof.broken_agent`.

Each way is one fault that people do ship, put into the running agent from outside. Nothing of it is in
the package.
"""

import asyncio
import dataclasses
import functools
import os
import random
import runpy
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from itertools import count
from typing import Any

from fastapi import Request
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from starlette.types import Message, Send
from strands import Agent
from strands.models.openai import OpenAIModel
from strands.types.agent import ConcurrentInvocationMode

from reference_agent import agent, app, contract, hooks
from reference_agent.adapters.errors import Classification, classify
from reference_agent.adapters.models import StrictOpenAIModel
from reference_agent.adapters.sessions.protocol import History, Turn
from reference_agent.adapters.sessions.sqlite import SqliteStore
from reference_agent.agent import AgentService
from reference_agent.clients import Builders, ClientSet, SharedClients
from reference_agent.controls.clients import with_sdk_retries
from reference_agent.invocations import InvocationHandler
from reference_agent.patterns.busy_signal import BusySignal, Slot
from reference_agent.patterns.client_cache import CachedClient, ClientInit, Use
from reference_agent.request import Invocation
from reference_agent.settings import Settings

STALE_S = 1.0
WAIT_S = 0.3
LATE_S = (0.005, 0.025)
SLOW_LOAD_S = 0.012


def cache_off() -> None:
    """Clients are built for each request, and closed after it."""

    @asynccontextmanager
    async def use(self: CachedClient[Any]) -> AsyncIterator[Use[Any]]:
        begun = self._clock()
        client = await self._build()
        took_s = self._clock() - begun
        self._hook(ClientInit(self._name, "cold", "first_use", took_s))
        try:
            yield Use(client, "cold", took_s)
        finally:
            await self._close(client)

    CachedClient.use = use


def cache_race() -> None:
    """The cache is looked into, and then filled: whoever comes meanwhile builds as well."""
    build_once = CachedClient._build_once

    async def each_for_itself(self: CachedClient[Any]) -> Any:
        return await build_once(self)

    CachedClient._single_flight = each_for_itself


def shared_agent() -> None:
    """One Agent object answers everybody."""
    made: list[Agent] = []

    def the_agent(**arguments: Any) -> Agent:
        if not made:
            mode = ConcurrentInvocationMode.UNSAFE_REENTRANT
            made.append(Agent(concurrent_invocation_mode=mode, **arguments))
        return made[0]

    agent.Agent = the_agent


def ping_always_healthy() -> None:
    """`/ping` tells that the process lives, and no more."""
    BusySignal.status = property(lambda _: "Healthy")


def limit_ignored() -> None:
    """Nothing is refused: what comes is worked on."""

    def take(self: BusySignal) -> Slot:
        self._count(1)
        return Slot(lambda: self._count(-1))

    BusySignal.try_acquire = take


def jitter_off() -> None:
    """Retries come back at the very instant that the server asked for."""
    decide = hooks.decide
    hooks.decide = lambda policy, attempt, failure, elapsed_s, _, **more: decide(
        policy, attempt, failure, elapsed_s, lambda: 0.0, **more
    )


def retry_of_400s() -> None:
    """A request that the model refuses for good is sent again."""

    def transient(error: BaseException) -> Classification:
        return dataclasses.replace(classify(error), transient=True)

    app.TransientErrorRetryHook = functools.partial(app.TransientErrorRetryHook, classify=transient)


def terminator_ignored() -> None:
    """A stream that ends without its terminator passes for an answer."""
    StrictOpenAIModel.format_chunk = OpenAIModel.format_chunk


def slots_given_back_twice() -> None:
    """After an error, a slot is given back by who noticed it, and by who ends the request."""
    answer = InvocationHandler.answer

    async def twice(self: InvocationHandler, request: Request, send: Send, slot: Slot) -> None:
        said: list[int] = []

        async def seen(message: Message) -> None:
            said.append(message.get("status", 0))
            await send(message)

        await answer(self, request, seen, slot)
        if max(said, default=0) >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._busy._count(-1)

    InvocationHandler.answer = twice


def stamp_at_poll() -> None:
    """While the container is busy, `/ping` is stamped when it is asked."""

    class Stamped(BusySignal):
        def __getattribute__(self, name: str) -> Any:
            said = super().__getattribute__(name)
            return int(time.time()) if name == "changed_at" and self.state.busy else said

    app.BusySignal = Stamped


def ping_always_busy() -> None:
    """`/ping` tells that there is work, whether or not there is."""
    BusySignal.status = property(lambda _: "HealthyBusy")


def ping_stale() -> None:
    """`/ping` tells what was so a while ago."""
    kept: dict[str, Any] = {"until_s": 0.0, "status": "Healthy"}

    def status(self: BusySignal) -> str:
        if time.monotonic() > kept["until_s"]:
            kept["until_s"] = time.monotonic() + STALE_S
            kept["status"] = "HealthyBusy" if self.state.busy else "Healthy"
        return str(kept["status"])

    BusySignal.status = property(status)


def waits_beside_idle() -> None:
    """Every second request waits in the container before it may have a slot, of which there are some."""
    serve = InvocationHandler.serve
    requests = count()

    async def later(self: InvocationHandler, request: Request, send: Send) -> None:
        if next(requests) % 2:
            await asyncio.sleep(WAIT_S)
            trace.get_current_span().set_attribute(contract.QUEUE_WAIT_S, WAIT_S)
        await serve(self, request, send)

    InvocationHandler.serve = later


def clients_given_up(name: str, uses: int, *, silently: bool) -> None:
    """A client is given up after so many uses, though nothing is wrong with it."""
    use = SharedClients.use
    used = count(1)

    @asynccontextmanager
    async def wearing_out(self: SharedClients) -> AsyncIterator[ClientSet]:
        async with use(self) as lent:
            yield lent
        if next(used) % uses == 0:
            cached = self._llm if name == "llm" else self._mcp
            client = lent.model if name == "llm" else lent.tools
            if silently:
                cached._hook = lambda _: None
            cached.invalidate(client, "broken")

    SharedClients.use = wearing_out


def same_seed() -> None:
    """All containers draw their jitter from the same seed."""
    decide = hooks.decide
    draw = random.Random(1).random
    hooks.decide = lambda policy, attempt, failure, elapsed_s, _, **more: decide(
        policy, attempt, failure, elapsed_s, draw, **more
    )


def jitter_first_only() -> None:
    """The first retry has jitter, and those after it have none."""
    decide = hooks.decide
    hooks.decide = lambda policy, attempt, failure, elapsed_s, uniform, **more: decide(
        policy, attempt, failure, elapsed_s, uniform if attempt == 1 else lambda: 0.0, **more
    )


def retry_after_ignored() -> None:
    """Retries come after a backoff of the agent's own, whatever the server asked for."""
    decide = hooks.decide
    hooks.decide = lambda policy, attempt, failure, elapsed_s, uniform, **more: decide(
        policy, attempt, dataclasses.replace(failure, retry_after_s=None), elapsed_s, uniform, **more
    )


def hidden_retries() -> None:
    """The SDK below retries as well, and tells nobody."""
    builders = app.client_builders

    def retrying(settings: Settings) -> Builders:
        right = builders(settings)
        return dataclasses.replace(right, model=lambda: with_sdk_retries(right.model))

    app.client_builders = retrying


def saved_late() -> None:
    """The answer goes out, and the turn is saved some milliseconds later."""
    save = AgentService._save
    tasks: set[asyncio.Task[Any]] = set()

    async def later(
        self: AgentService, invocation: Invocation, history: History, turn: Turn
    ) -> dict[str, Any]:
        async def work() -> None:
            await asyncio.sleep(random.uniform(*LATE_S))
            await save(self, invocation, history, turn)

        task = asyncio.create_task(work())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return turn.answer

    AgentService._save = later


def slow_loads() -> None:
    """Loading a session takes 12 ms more in one request of 33."""
    load = SqliteStore.load

    async def slowed(self: SqliteStore, session_id: str, request_id: str) -> History:
        if zlib.crc32(request_id.encode()) % 33 == 0:
            await asyncio.sleep(SLOW_LOAD_S)
        return await load(self, session_id, request_id)

    SqliteStore.load = slowed


def turns_lost() -> None:
    """One turn in ten is not saved."""
    append = SqliteStore.append
    turns = count()

    async def forgetful(self: SqliteStore, session_id: str, version: int, turn: Turn) -> None:
        if next(turns) % 10:
            await append(self, session_id, version, turn)

    SqliteStore.append = forgetful


def turns_doubled() -> None:
    """One turn in ten is saved twice."""
    append = SqliteStore.append
    turns = count()

    async def eager(self: SqliteStore, session_id: str, version: int, turn: Turn) -> None:
        await append(self, session_id, version, turn)
        if next(turns) % 10 == 0:
            await append(self, session_id, version + 1, turn)

    SqliteStore.append = eager


def histories_mixed() -> None:
    """One session in ten is loaded with the messages of the one that was loaded before."""
    load = SqliteStore.load
    loads = count()
    before: list[History] = [History()]

    async def mixed(self: SqliteStore, session_id: str, request_id: str) -> History:
        history = await load(self, session_id, request_id)
        other, before[0] = before[0], history
        if next(loads) % 10:
            return history
        return dataclasses.replace(history, messages=[*other.messages, *history.messages])

    SqliteStore.load = mixed


def spans_lost() -> None:
    """One span of an Agent in ten never arrives."""
    on_end = BatchSpanProcessor.on_end
    spans = count()

    def lossy(self: BatchSpanProcessor, span: ReadableSpan) -> None:
        if not span.name.startswith("invoke_agent") or next(spans) % 10:
            on_end(self, span)

    BatchSpanProcessor.on_end = lossy


WAYS: dict[str, Callable[[], None]] = {
    "cache-off": cache_off,
    "cache-race": cache_race,
    "shared-agent": shared_agent,
    "ping-always-healthy": ping_always_healthy,
    "limit-ignored": limit_ignored,
    "jitter-off": jitter_off,
    "retry-of-400s": retry_of_400s,
    "terminator-ignored": terminator_ignored,
    "slots-given-back-twice": slots_given_back_twice,
    "stamp-at-poll": stamp_at_poll,
    "ping-always-busy": ping_always_busy,
    "ping-stale": ping_stale,
    "waits-beside-idle": waits_beside_idle,
    "tools-rebuilt": functools.partial(clients_given_up, "mcp", 50, silently=False),
    "tools-rebuilt-silently": functools.partial(clients_given_up, "mcp", 50, silently=True),
    "model-rebuilt-silently": functools.partial(clients_given_up, "llm", 10, silently=True),
    "same-seed": same_seed,
    "jitter-first-only": jitter_first_only,
    "retry-after-ignored": retry_after_ignored,
    "hidden-retries": hidden_retries,
    "saved-late": saved_late,
    "slow-loads": slow_loads,
    "turns-lost": turns_lost,
    "turns-doubled": turns_doubled,
    "histories-mixed": histories_mixed,
    "spans-lost": spans_lost,
}

if __name__ == "__main__":
    if way := os.environ.get("BROKEN"):
        WAYS[way]()
    runpy.run_module("reference_agent", run_name="__main__")
