"""Client cache: a client is built once per container and shared by every request.

A client costs a TLS context, a connection pool, perhaps a login. Built per request, that is in every
answer's latency; behind a plain `if client is None`, it is built several times when the first requests
arrive together. Here the first caller starts the one build, and everyone waits for that:

    llm = CachedClient("llm", build=make_client, close=AsyncOpenAI.close)

    async with llm.use() as use:            # use.state is "cold" for those who waited
        await use.client.responses.create(...)

A failed build is not repeated by every caller: until a pause is over, they get its error at once.
`invalidate` drops a client that broke or expired: the next caller builds a new one, and the old one is
closed when its last user has released it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
State = Literal["cold", "warm"]
Reason = Literal["first_use", "expired", "broken"]
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0


@dataclass(frozen=True, slots=True)
class ClientInit:
    """One build of a client, as the hook gets it: `error` is None when it succeeded."""

    name: str
    state: Literal["cold", "reinit"]
    reason: Reason
    duration_s: float
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Use(Generic[T]):
    """A client in use; `state` and `wait_s` say whether, and how long, its build was waited for."""

    client: T
    state: State
    wait_s: float


class ClientUnavailableError(Exception):
    """The client could not be built; its cause says why, `retry_after_s` when it is tried again."""

    def __init__(self, name: str, retry_after_s: float) -> None:
        super().__init__(f"the {name} client could not be built; next try in {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class _Held(Generic[T]):
    client: T
    users: int = 0
    retired: bool = False


class CachedClient(Generic[T]):
    """One shared client: `build` makes it, `close` ends it, and `hook` is called for each build."""

    def __init__(
        self,
        name: str,
        build: Callable[[], Awaitable[T]],
        close: Callable[[T], Awaitable[None]],
        *,
        hook: Callable[[ClientInit], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._build, self._close = name, build, close
        self._hook, self._clock = hook, clock
        self._held: _Held[T] | None = None
        self._building: asyncio.Task[_Held[T]] | None = None
        self._reason: Reason = "first_use"
        self._error: Exception | None = None
        self._pause_s = self._closed_until = 0.0

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Use[T]]:
        """Lend the client, building it first when there is none.

        Raises:
            ClientUnavailableError: it could not be built, now or within the pause before.
        """
        begun = self._clock()
        state: State = "warm" if self._held else "cold"
        held: _Held[T] | None = None
        while held is None or held.retired:  # it may be dropped while this caller waits for it
            held = self._held or await self._single_flight()
        held.users += 1
        try:
            yield Use(held.client, state, self._clock() - begun if state == "cold" else 0.0)
        finally:
            held.users -= 1
            if held.retired and not held.users:
                await self._close(held.client)

    async def invalidate(self, client: T, reason: Reason) -> None:
        """Drop `client`; the next caller builds a new one. A second call changes nothing."""
        held = self._held
        if held is None or held.client is not client:
            return
        self._held, self._reason, held.retired = None, reason, True
        if not held.users:
            await self._close(held.client)

    async def aclose(self) -> None:
        """Close the client, also one that is being built."""
        if self._building is not None:
            await asyncio.wait([self._building])
        if self._held is not None:
            await self.invalidate(self._held.client, "first_use")

    async def _single_flight(self) -> _Held[T]:
        if self._building is None:
            if (left_s := self._closed_until - self._clock()) > 0:
                raise ClientUnavailableError(self._name, left_s) from self._error
            self._building = asyncio.create_task(self._build_once())
        # Shielded: a first caller that is cancelled must not cancel the build for the others.
        return await asyncio.shield(self._building)

    async def _build_once(self) -> _Held[T]:
        begun = self._clock()
        try:
            self._held = _Held(await self._build())
        except Exception as error:
            self._report(begun, error)
            self._pause_s = min(self._pause_s * 2 or FIRST_PAUSE_S, LONGEST_PAUSE_S)
            self._error, self._closed_until = error, self._clock() + self._pause_s
            raise ClientUnavailableError(self._name, self._pause_s) from error
        finally:
            self._building = None
        self._report(begun)
        self._pause_s = 0.0
        return self._held

    def _report(self, begun: float, error: Exception | None = None) -> None:
        state: Literal["cold", "reinit"] = "cold" if self._reason == "first_use" else "reinit"
        self._hook(ClientInit(self._name, state, self._reason, self._clock() - begun, error))
