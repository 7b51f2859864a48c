"""The reference agent, slowed on purpose: each request takes `1 + slower` times as long as it would.

`SLOWER_FILE=file python -m tests.proof.slow_agent`: the file holds `slower`, is read for each request, and
may change meanwhile; without it, nothing is slowed.
"""

import asyncio
import os
import runpy
import time
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_agent import app
from reference_agent.app import Parts, build_app

FILE = "SLOWER_FILE"


class Slowed:
    """Lets each answer wait for a share of the time that it took."""

    def __init__(self, inner: ASGIApp, file: Path) -> None:
        self._inner = inner
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun_s = time.perf_counter()

        async def later(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["path"] == "/invocations":
                slower = float(self._file.read_text("utf-8") or 0) if self._file.exists() else 0.0
                await asyncio.sleep(slower * (time.perf_counter() - begun_s))
            await send(message)

        await self._inner(scope, receive, later)


def build_slowed(parts: Parts) -> FastAPI:
    """Build the application, and what slows it around it."""
    built = build_app(parts)
    built.add_middleware(Slowed, file=Path(os.environ[FILE]))
    return built


if __name__ == "__main__":
    app.build_app = build_slowed
    runpy.run_module("reference_agent", run_name="__main__")
