"""Where a container is between its start and its end, and whether it can take requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from reference_agent.adapters.sessions.protocol import SessionStore
from reference_agent.clients import Clients
from reference_agent.patterns.busy_signal import BusySignal
from reference_agent.patterns.client_cache import ClientInit, ClientUnavailableError

STARTING: Final = "starting"
DRAINING: Final = "draining"
"""What blocks a container that leaves; nothing new is begun then."""
RESTORED_S: Final = 5.0
"""The clocks of a process that nobody stopped never go apart by so much between two looks."""


class Health:
    """Knows what keeps the container from work. All of it blocks the busy signal, so that `/ping` tells, too.

    Args:
        busy: has the slots.
        clients: what every request needs.
        store: likewise.
        now: Unix time in seconds.
        monotonic: seconds since any origin; stands still while the process does.
    """

    def __init__(
        self,
        busy: BusySignal,
        clients: Clients,
        store: SessionStore,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._busy = busy
        self._clients = clients
        self._store = store
        self._now = now
        self._monotonic = monotonic
        self._offset_s = now() - monotonic()
        self._building: asyncio.Task[None] | None = None
        busy.block(STARTING)

    @property
    def draining(self) -> bool:
        """Whether the container leaves."""
        return DRAINING in self._busy.blocked

    def begin(self, *, warm_up: bool) -> None:
        """Take requests from now on, or once the clients are built."""
        if warm_up:
            self._build()
        else:
            self._busy.unblock(STARTING)

    def drain(self) -> None:
        """Take no more requests."""
        self._busy.block(DRAINING)

    async def look(self) -> None:
        """See to what nobody else would: a restored process, and clients that could not be built.

        A process that was restored from a snapshot has the connections, tokens and stamps of another time.
        Its clock tells: the world's time went on while its own stood still.
        """
        offset_s = self._now() - self._monotonic()
        restored = abs(offset_s - self._offset_s) > RESTORED_S
        self._offset_s = offset_s
        if restored:
            self._clients.renew()
            self._busy.restamp()
            await self._store.reconnect()
        if self._busy.blocked and not self.draining:
            self._build()

    async def not_ready_because(self) -> str | None:
        """Return why the container is not ready, None when it is."""
        await self.look()
        if self._busy.blocked:
            return DRAINING if self.draining else next(reversed(self._busy.blocked))
        if self._busy.state.busy:
            return "busy"
        try:
            await self._store.ping()
        except Exception:  # noqa: BLE001 - whatever it is, no request could be answered
            return "the session store can't be reached"
        return None

    def aclose(self) -> None:
        """Give up what is being built."""
        if self._building is not None:
            self._building.cancel()

    def _build(self) -> None:
        """Build the clients as a request would; they know themselves when it is too soon for another try."""
        if self._building is None or self._building.done():
            self._building = asyncio.create_task(self._built())

    async def _built(self) -> None:
        try:
            async with self._clients.use():
                self._busy.unblock(STARTING)
        except ClientUnavailableError:
            return  # its build has blocked the container, see `note_build`


def note_build(busy: BusySignal, init: ClientInit) -> None:
    """Block a container that lacks a client, until it has it."""
    reason = f"the {init.name} client can't be built"
    if init.error is None:
        busy.unblock(reason)
    else:
        busy.block(reason)
