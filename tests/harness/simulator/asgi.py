"""The whole simulator in this process, on a clock that moves only when somebody waits."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.sdk.trace import TracerProvider

from harness.clock import FakeClock
from harness.errors import AgentrigError
from harness.simulator.journal import Journal
from harness.simulator.router import Router
from harness.simulator.serve import ModelSimulator
from harness.simulator.tracing import Tracing
from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.test_delivery import FakeConnection
from tests.harness.simulator.wires import body


class NumberedConnection(FakeConnection):
    number = 1
    used = False


class Api:
    """What a client can do with it, each call over a connection of its own unless one is given."""

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        token: str | None = None,
        provider: TracerProvider | None = None,
        journal: Path | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.simulator = ModelSimulator(
            config or SimulatorConfig(),
            Journal(journal),
            Tracing(provider),
            labels=("experiment", "arm"),
            now=self.clock.now,
        )
        self.troubles: list[AgentrigError] = []
        self.router = Router(self.simulator, token, self.troubles.append)

    async def send(
        self, method: str, path: str, connection: FakeConnection | None = None, **request: Any
    ) -> httpx.Response:
        state = {"connection": connection or NumberedConnection(self.clock)}

        async def app(
            scope: dict[str, Any],
            receive: Callable[[], Awaitable[dict[str, Any]]],
            send: Callable[[dict[str, Any]], Awaitable[None]],
        ) -> None:
            await self.router({**scope, "state": state}, receive, send)

        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://sim") as client:
            return await client.request(method, path, **request)

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        return asyncio.run(self.send(method, path, **request))

    def chat(self, text: str = "hello", **request: Any) -> httpx.Response:
        return self.ask("POST", "/v1/chat/completions", content=body("openai", text), **request)

    def rows(self) -> list[dict[str, Any]]:
        return [entry["row"] for entry in json.loads(self.ask("GET", "/sim/requests").content)]
