"""An agent that keeps what it was told, saves it too late, or is slow to read it now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from strands import Agent
from strands.types.agent import ConcurrentInvocationMode
from typing_extensions import override

from reference_agent.adapters.sessions.protocol import History, SessionStore, Turn
from reference_agent.agent import AgentService
from reference_agent.request import Invocation

LATE_S = 0.02
SLOW_S = 0.015
EACH_SO_MANY_LOADS = 33


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


class SlowStore:
    """A session store in which some loads take longer."""

    def __init__(self, store: SessionStore, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._store = store
        self._sleep = sleep
        self._loads = 0

    async def load(self, session_id: str, request_id: str) -> History:
        """Read a session, after a while where it is one of so many."""
        self._loads += 1
        if self._loads % EACH_SO_MANY_LOADS == 0:
            await self._sleep(SLOW_S)
        return await self._store.load(session_id, request_id)

    def __getattr__(self, name: str) -> Any:
        """Do all else as the store does."""
        return getattr(self._store, name)


class SlowLoadsService(AgentService):
    """Answers as it must, from a store that is slow in three loads of a hundred."""

    sleep = staticmethod(asyncio.sleep)

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        store: Any = SlowStore(self._store, self.sleep)
        self._store = store


SERVICES = {
    "shared-agent": SharedAgentService,
    "saves-late": LateService,
    "slow-loads": SlowLoadsService,
}
