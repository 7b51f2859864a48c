"""The reference agent, slowed on purpose: each request takes `1 + slower` times as long as it would.

`SLOWER_FILE=file python -m tests.proof.slow_agent`: the file holds `slower`, is read for each request, and
may change meanwhile; without it, nothing is slowed. `SLOW_SESSIONS_FILE` holds how many ms more one in 33
loads of a session takes. `CONTROLS_FILE` holds the `AGENT_CONTROLS` of an agent that starts.
"""

import asyncio
import os
import runpy
import time
import zlib
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_agent import app
from reference_agent.adapters.sessions.open import open_store
from reference_agent.adapters.sessions.protocol import History, SessionStore, Turn
from reference_agent.app import Parts, build_app, compose
from reference_agent.settings import Settings

FILE = "SLOWER_FILE"
SESSIONS_FILE = "SLOW_SESSIONS_FILE"
CONTROLS_FILE = "CONTROLS_FILE"
ONE_IN = 33
"""Loads of a session, of which one is slowed."""


class Slowed:
    """Lets each answer wait for a share of the time that it took."""

    def __init__(self, inner: ASGIApp, file: Path) -> None:
        self._inner = inner
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun_s = time.perf_counter()

        async def later(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["path"] == "/invocations":
                slower = told(self._file)
                await asyncio.sleep(slower * (time.perf_counter() - begun_s))
            await send(message)

        await self._inner(scope, receive, later)


def told(file: Path) -> float:
    """Return the number that a file holds, 0 when it isn't there."""
    return float(file.read_text("utf-8") or 0) if file.exists() else 0.0


class SlowStore:
    """A session store of which some loads take longer.

    Args:
        inner: the store.
        file: holds how much longer, in ms.
    """

    def __init__(self, inner: SessionStore, file: Path) -> None:
        self._inner = inner
        self._file = file

    async def load(self, session_id: str, request_id: str) -> History:
        """Load a session; which requests are slow follows from their ids."""
        if zlib.crc32(request_id.encode()) % ONE_IN == 0:
            await asyncio.sleep(told(self._file) / 1e3)
        return await self._inner.load(session_id, request_id)

    async def append(self, session_id: str, version: int, turn: Turn) -> None:
        """Append a turn."""
        await self._inner.append(session_id, version, turn)

    async def delete(self, session_id: str) -> None:
        """Forget a session."""
        await self._inner.delete(session_id)

    async def reconnect(self) -> None:
        """Let go of the connections."""
        await self._inner.reconnect()

    async def ping(self) -> None:
        """Check that it can be reached."""
        await self._inner.ping()

    async def aclose(self) -> None:
        """Close it."""
        await self._inner.aclose()


def compose_slowed(settings: Settings) -> Parts:
    """Compose the agent, its store slowed."""
    return compose(settings, store=SlowStore(open_store(settings), Path(os.environ[SESSIONS_FILE])))


def build_slowed(parts: Parts) -> FastAPI:
    """Build the application, and what slows it around it."""
    built = build_app(parts)
    built.add_middleware(Slowed, file=Path(os.environ[FILE]))
    return built


if __name__ == "__main__":
    controls = Path(os.environ[CONTROLS_FILE])
    os.environ["AGENT_CONTROLS"] = controls.read_text("utf-8") if controls.exists() else ""
    app.build_app = build_slowed
    app.compose = compose_slowed
    runpy.run_module("reference_agent", run_name="__main__")
