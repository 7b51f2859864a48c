"""Client cache: a client is built once per container and shared by every request.

Built per request, TLS context, pool and login are in every answer's latency; behind a plain `if client is
None`, each of the first requests builds its own. Here the first caller starts the one build for all:

    llm = CachedClient("llm", build=make_client, close=AsyncOpenAI.close)

    async with llm.use() as use:            # use.state is "cold" for those who waited
        await use.client.responses.create(...)

A build that fails, or takes over `build_s`, is not repeated by every caller: until a pause is over, they
get its error at once. `invalidate` drops a client that broke or expired: the next caller builds a new
one, and the old one is closed when its last user has released it, while nobody waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")
State = Literal["cold", "warm"]
Reason = Literal["first_use", "expired", "broken"]
FIRST_PAUSE_S, LONGEST_PAUSE_S, CLOSE_S = 0.5, 4.0, 2.0  # the longest is what recovery costs after an outage


@dataclass(frozen=True, slots=True)
class ClientInit:
    """One build of a client."""

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


class CachedClient(Generic[T]):
    """One shared client: `build` makes it, `close` ends it, and `hook` is called for each build."""

    def __init__(
        self,
        name: str,
        build: Callable[[], Awaitable[T]],
        close: Callable[[T], Awaitable[None]],
        *,
        build_s: float = 30.0,
        hook: Callable[[ClientInit], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._build, self._close, self._build_s = name, build, close, build_s
        self._hook, self._clock = hook, clock
        self._held: _Held[T] | None = None
        self._building: asyncio.Task[_Held[T]] | None = None
        self._closing: set[asyncio.Future[Any]] = set()  # the event loop itself holds tasks only weakly
        self._reason: Reason = "first_use"
        self._pause_s = self._closed_until = 0.0
        self._error: BaseException | None = None

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Use[T]]:
        """Lend the client, building it first when there is none; ClientUnavailableError when it can't be."""
        begun, held = self._clock(), self._held
        state: State = "warm" if held else "cold"
        while held is None or held is not self._held:  # it may be dropped while this caller waits for it
            held = self._held or await self._single_flight()
        held.users += 1
        try:
            yield Use(held.client, state, self._clock() - begun if state == "cold" else 0.0)
        finally:
            held.users -= 1
            self._close_unused(held)

    def invalidate(self, client: T | None, reason: Reason) -> None:
        """Drop `client`, None for whichever there is; the next caller builds a new one."""
        held = self._held
        if held is not None and (client is None or client is held.client):
            self._held, self._reason = None, reason
            self._close_unused(held)

    async def aclose(self) -> None:
        """Close the client; one that is being built is given up. Waits for `CLOSE_S` at most."""
        self.invalidate(None, "first_use")
        if self._building is not None:
            self._building.cancel()
            self._closing.add(self._building)
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_S)

    async def _single_flight(self) -> _Held[T]:
        if self._building is None or self._building.done():
            if (left_s := self._closed_until - self._clock()) > 0:
                raise ClientUnavailableError(self._name, left_s) from self._error
            self._building = asyncio.create_task(self._build_once())
        await asyncio.wait([building := self._building])  # who is cancelled does not cancel it for others
        if building.cancelled():
            raise ClientUnavailableError(self._name, FIRST_PAUSE_S)
        return building.result()

    async def _build_once(self) -> _Held[T]:
        begun = self._clock()
        try:
            async with asyncio.timeout(self._build_s):
                self._held = _Held(await self._build())
        except (Exception, asyncio.CancelledError) as error:  # no waiter must take that for its own
            self._report(begun, error)
            self._pause_s = min(self._pause_s * 2 or FIRST_PAUSE_S, LONGEST_PAUSE_S)
            self._error, self._closed_until = error, self._clock() + self._pause_s
            raise ClientUnavailableError(self._name, self._pause_s) from error
        finally:
            self._building = None
        self._report(begun)
        self._error, self._pause_s = None, 0.0
        return self._held

    def _close_unused(self, held: _Held[T]) -> None:
        if held is not self._held and not held.users:
            self._closing.add(closing := asyncio.ensure_future(self._close(held.client)))
            closing.add_done_callback(self._closing.discard)

    def _report(self, begun: float, error: BaseException | None = None) -> None:
        state: Any = "cold" if self._reason == "first_use" else "reinit"
        self._hook(ClientInit(self._name, state, self._reason, self._clock() - begun, error))
