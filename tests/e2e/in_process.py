"""The whole agent behind real sockets, in this process: its tasks, threads and connections can be counted."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import uvicorn

from harness.fleet.ports import HOST
from reference_agent.app import Parts, build_app, compose
from reference_agent.server import BoundedHeaders
from reference_agent.settings import Settings
from tests.e2e.waiting import DEADLINE_S, POLL_S


@dataclass
class Serving:
    """An agent that is ready."""

    parts: Parts
    http: httpx.AsyncClient
    port: int
    model_port: int

    async def ask(self, **headers: str) -> httpx.Response:
        return await self.http.post("/invocations", json={"prompt": "hi"}, headers=headers)

    def begin(self, **headers: str) -> "asyncio.Task[httpx.Response]":
        return asyncio.create_task(self.ask(**headers))

    @property
    def in_flight(self) -> int:
        return self.parts.busy.state.in_flight

    @property
    def model_connections(self) -> int:
        """Connections to the model that are open, seen from this side."""
        return sum(
            connection.raddr.port == self.model_port
            for connection in psutil.Process().net_connections("tcp4")
            if connection.raddr and connection.status == psutil.CONN_ESTABLISHED
        )


@asynccontextmanager
async def serving(model_url: str, **chosen: Any) -> AsyncIterator[Serving]:
    """Serve an agent whose model is at `model_url`; on leaving, its server shuts down as a process's does."""
    usual = {
        "openai_base_url": f"{model_url}/v1",
        "aws_endpoint_url_bedrock_runtime": model_url,
        "openai_api_key": "sk-test",
        "agent_retry_base_s": 0.0,
    }
    parts = compose(Settings(**(usual | chosen)))
    config = uvicorn.Config(
        build_app(parts), http=BoundedHeaders, access_log=False, log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port = listener.getsockname()[1]
        running = asyncio.create_task(server.serve(sockets=[listener]))
        async with httpx.AsyncClient(
            base_url=f"http://{HOST}:{port}", timeout=DEADLINE_S, trust_env=False
        ) as http:
            await until_so("the agent ready", lambda: server.started)
            yield Serving(parts, http, port, urlsplit(model_url).port or 80)
        server.should_exit = True
        async with asyncio.timeout(DEADLINE_S):
            await running


async def until_so(what: str, look: Callable[[], bool]) -> None:
    """Return once `look` says yes; what is waited for goes on meanwhile."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not look():  # noqa: ASYNC110 - what is looked at has no event
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"never saw {what}") from None


def at_work(name: str) -> int:
    """Return how many threads of that name there are."""
    return sum(thread.name.startswith(name) for thread in threading.enumerate())
