"""The reference agent, broken on purpose: `BROKEN=<way> python -m tests.proof.broken_agent`.

Each way is one fault that people do ship, put into the running agent from outside. Nothing of it is in
the package.
"""

import dataclasses
import functools
import os
import runpy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from strands import Agent
from strands.models.openai import OpenAIModel
from strands.types.agent import ConcurrentInvocationMode

from reference_agent import agent, app, hooks
from reference_agent.adapters.errors import Classification, classify
from reference_agent.adapters.models import StrictOpenAIModel
from reference_agent.patterns.busy_signal import BusySignal, Slot
from reference_agent.patterns.client_cache import CachedClient, ClientInit, Use


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
    hooks.decide = lambda policy, attempt, failure, elapsed_s, _: decide(
        policy, attempt, failure, elapsed_s, lambda: 0.0
    )


def retry_of_400s() -> None:
    """A request that the model refuses for good is sent again."""

    def transient(error: BaseException) -> Classification:
        return dataclasses.replace(classify(error), transient=True)

    app.TransientErrorRetryHook = functools.partial(app.TransientErrorRetryHook, classify=transient)


def terminator_ignored() -> None:
    """A stream that ends without its terminator passes for an answer."""
    StrictOpenAIModel.format_chunk = OpenAIModel.format_chunk


WAYS: dict[str, Callable[[], None]] = {
    "cache-off": cache_off,
    "cache-race": cache_race,
    "shared-agent": shared_agent,
    "ping-always-healthy": ping_always_healthy,
    "limit-ignored": limit_ignored,
    "jitter-off": jitter_off,
    "retry-of-400s": retry_of_400s,
    "terminator-ignored": terminator_ignored,
}

if __name__ == "__main__":
    if way := os.environ.get("BROKEN"):
        WAYS[way]()
    runpy.run_module("reference_agent", run_name="__main__")
