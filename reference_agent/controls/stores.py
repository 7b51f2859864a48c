"""A session store that is used wrongly: these are about Redis, whose weather an experiment makes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from typing_extensions import override

from reference_agent.adapters.sessions.protocol import History, SessionError, Turn
from reference_agent.app import Parts
from reference_agent.health import Health

T = TypeVar("T")
AGAIN_S: Final = 0.1
NAMES: Final = {
    *("last-write-wins", "never-reconnects", "store-no-jitter", "pays-first", "waits-for-store"),
    "ready-constant",
}
APPEND_ALWAYS: Final = """
redis.call('RPUSH', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[1] + 1)
redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[7]) end
return 1
"""
READ_ALONE: Final = """
local answered = redis.call('HGET', KEYS[3], ARGV[1])
return {redis.call('LRANGE', KEYS[1], 0, -1), redis.call('GET', KEYS[2]), answered}
"""


def make_wrong(parts: Parts, names: frozenset[str]) -> None:
    """Replace right parts by those that the names ask for."""
    store: Any = parts.store
    if "last-write-wins" in names:
        store.append_script = APPEND_ALWAYS
    if "pays-first" in names:
        store.load_script = READ_ALONE
    if "store-no-jitter" in names:
        store.uniform = lambda: 0.5
    if "never-reconnects" in names:
        parts.store = GivenUpStore(store)
    if "waits-for-store" in names:
        parts.store = PatientStore(store)
    make_health = AlwaysReady if "ready-constant" in names else Health
    parts.health = make_health(parts.busy, parts.clients, parts.store)


class WrappedStore:
    """A session store that does as another one does."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def load(self, session_id: str, request_id: str) -> History:
        """Read a session."""
        return await self.done(lambda: self._store.load(session_id, request_id))

    async def append(self, session_id: str, version: int, turn: Turn) -> None:
        """Add a turn after turn `version`."""
        await self.done(lambda: self._store.append(session_id, version, turn))

    async def delete(self, session_id: str) -> None:
        """Forget a session."""
        await self.done(lambda: self._store.delete(session_id))

    async def ping(self) -> None:
        """Raise SessionError when no turn could be written."""
        await self._store.ping()

    async def reconnect(self) -> None:
        """Let go of the connections."""
        await self._store.reconnect()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._store.aclose()

    async def done(self, call: Callable[[], Awaitable[T]]) -> T:
        """Do what a call does."""
        return await call()


class GivenUpStore(WrappedStore):
    """Once its store has failed, it asks it for nothing any more."""

    _failed = False

    @override
    async def done(self, call: Callable[[], Awaitable[T]]) -> T:
        """Do what a call does, or fail as the one before."""
        if self._failed:
            raise SessionError("the connection to the session store is broken")
        try:
            return await call()
        except SessionError:
            self._failed = True
            raise


class PatientStore(WrappedStore):
    """Waits for its store until it answers, whatever the time that its request has."""

    sleep = staticmethod(asyncio.sleep)

    @override
    async def done(self, call: Callable[[], Awaitable[T]]) -> T:
        """Do what a call does, however long it takes."""
        task = asyncio.ensure_future(self._until_done(call))
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(task)
        return task.result()

    async def _until_done(self, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            with suppress(SessionError):
                return await call()
            await self.sleep(AGAIN_S)


class AlwaysReady(Health):
    """Says that it can work."""

    @override
    async def not_ready_because(self) -> str | None:
        """Return None."""
        await self.look()
        return None
