"""An agent that keeps what it was told, or saves it too late."""

from __future__ import annotations

import asyncio
from typing import Any

from strands import Agent
from strands.types.agent import ConcurrentInvocationMode
from typing_extensions import override

from reference_agent.adapters.sessions.protocol import History, Turn
from reference_agent.agent import AgentService
from reference_agent.request import Invocation

LATE_S = 0.02


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
