"""Pretended containers: a good one, and one for each way of being wrong."""

import asyncio
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import httpx

from harness.clock import FakeClock
from harness.conform.target import ContractTarget
from harness.contract import SESSION_HEADER

WORD = re.compile(r"CANARY-\d+")
ROUNDS_OF_WORK = 12
"""Turns of the event loop that a request takes: long enough to be seen in flight."""


@dataclass
class Container:
    """An ASGI agent; each switch is one fault."""

    clock: FakeClock
    limit: int = 4
    stamp_at_poll: bool = False
    stamp: Any = None
    always_healthy: bool = False
    never_given_back: bool = False
    queues: bool = False
    refuses_with_body: bool = False
    refuses_without_hints: bool = False
    crashes_on_bad_body: bool = False
    echoes_session: bool = True
    same_session: bool = False
    """Whether all who name no session get the same."""
    minted: int = 0
    streams: bool = True
    shared_memory: bool = False
    shared_when_overlapping: bool = False
    """Whether one Agent gets the messages of whoever came last: in turns it answers well."""
    forgetful: bool = False
    ping_s: float = 0.0
    """How long a ping takes."""
    refusal_s: float = 0.0
    """How long a refusal takes, with all that goes on beside it."""
    in_flight: int = 0
    latest: str = ""
    changed_s: float = 1_600_000_000.0
    memory: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/ping":
            self.clock.advance(self.ping_s)
            await reply(send, 200, self.health())
            return
        body = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        await self.invoke(body, headers, send)

    def health(self) -> dict[str, Any]:
        busy = self.in_flight >= self.limit and not self.always_healthy
        stamp = int(self.clock.now() if self.stamp_at_poll else self.changed_s)
        return {
            "status": "HealthyBusy" if busy else "Healthy",
            "time_of_last_update": stamp if self.stamp is None else self.stamp,
        }

    async def invoke(self, body: bytes, headers: dict[str, str], send: Any) -> None:
        try:
            prompt = json.loads(body)["prompt"]
            assert isinstance(prompt, str)
        except (ValueError, KeyError, TypeError, AssertionError):
            await reply(send, 500 if self.crashes_on_bad_body else 400, {"error": "no prompt"})
            return
        if self.in_flight >= self.limit and not self.queues:
            self.clock.advance(self.refusal_s)
            hints = {} if self.refuses_without_hints else {"retry-after": "1", "x-agent-busy": "1"}
            await reply(send, 503, {"error": "busy"} if self.refuses_with_body else None, hints)
            return
        if SESSION_HEADER.lower() not in headers:
            self.minted += 1
            headers[SESSION_HEADER.lower()] = f"minted-{1 if self.same_session else self.minted}"
        self.latest = headers[SESSION_HEADER.lower()]
        self.count(1)
        for _ in range(ROUNDS_OF_WORK):
            await asyncio.sleep(0)
        if not self.never_given_back:
            self.count(-1)
        await self.answer(prompt, headers, send)

    def count(self, step: int) -> None:
        before = self.in_flight >= self.limit
        self.in_flight += step
        if before != (self.in_flight >= self.limit):
            self.changed_s = self.clock.now()

    async def answer(self, prompt: str, headers: dict[str, str], send: Any) -> None:
        session = headers[SESSION_HEADER.lower()]
        known = self.memory["all" if self.shared_memory else session]
        shown = self.memory[self.latest] if self.shared_when_overlapping else known
        text = " ".join(shown) if "Which canary" in prompt else "OK"
        if not self.forgetful:
            known.extend(WORD.findall(prompt))
        out = {SESSION_HEADER: session} if self.echoes_session else {}
        if self.streams and headers["accept"] == "text/event-stream":
            events = b'data: {"delta": "O"}\n\ndata: {"delta": "K"}\n\n'
            await reply(send, 200, events, out | {"content-type": "text/event-stream"})
        else:
            await reply(send, 200, {"result": text}, out)


async def reply(send: Any, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    pairs = {"content-type": "application/json"} | (headers or {})
    start = [(name.lower().encode(), value.encode()) for name, value in pairs.items()]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": raw})


def target_of(container: Container, *, late_s: float = 0.0) -> ContractTarget:
    """Return how a container is asked, on a machine that wakes who asks `late_s` too late."""

    async def sleep(seconds: float) -> None:
        container.clock.advance(seconds + late_s)
        await asyncio.sleep(0)

    http = httpx.AsyncClient(transport=httpx.ASGITransport(app=container), base_url="http://agent")
    clock = container.clock
    return ContractTarget(http=http, sleep=sleep, now=clock.now, monotonic=clock.monotonic)
