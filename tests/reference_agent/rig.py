"""The whole agent in this process: its real parts over a scripted model and a store in a file."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from strands import tool

from harness.clock import Clock, FakeClock
from reference_agent import after_answer, controls
from reference_agent.adapters.models import ModelClient, openai_model
from reference_agent.adapters.sessions.protocol import ConflictError, History, Turn, history_of
from reference_agent.app import Parts, build_app, compose
from reference_agent.clients import Builders
from reference_agent.contract import REQUEST_HEADER, SESSION_HEADER
from reference_agent.hooks import MakeHook
from reference_agent.settings import Settings
from reference_agent.telemetry.providers import Telemetry
from reference_agent.telemetry.strands_spans import keep_words_from_strands
from tests.reference_agent.wire import Reply, Wire

SECRET_KEY = "sk-very-secret"


@tool
def search(query: str = "") -> str:
    """Search for facts.

    Args:
        query: what for.
    """
    return f"nothing about {query}"


@lru_cache(maxsize=1)
def exporter() -> InMemorySpanExporter:
    """Return where the agent's spans go in this process: providers can be set only once."""
    kept = InMemorySpanExporter()
    Telemetry([SimpleSpanProcessor(kept)], [InMemoryMetricReader()]).install()
    keep_words_from_strands()
    return kept


class Tools:
    """An open tool session, or one that is said to be dead."""

    def __init__(self, *tools: Any, lives: bool = True) -> None:
        self.tools = tools or (search,)
        self.lives = lives
        self.closed = False

    async def alive(self) -> bool:
        return self.lives

    async def aclose(self) -> None:
        self.closed = True


class MemoryStore:
    """Sessions in this process, without a thread; tells when so many requests have read theirs."""

    def __init__(self, expected: int) -> None:
        self.turns: dict[str, list[Turn]] = {}
        self._missing = expected
        self._all_came = asyncio.Event()

    async def all_came(self) -> None:
        await self._all_came.wait()

    async def load(self, session_id: str, request_id: str) -> History:
        self._missing -= 1
        if self._missing <= 0:
            self._all_came.set()
        turns = self.turns.get(session_id, [])
        answered = [turn.encoded()[1] for turn in turns if turn.request_id == request_id]
        return history_of([turn.encoded()[0] for turn in turns], len(turns), next(iter(answered), None))

    async def append(self, session_id: str, version: int, turn: Turn) -> None:
        turns = self.turns.setdefault(session_id, [])
        if len(turns) != version:
            raise ConflictError
        turns.append(turn)

    async def delete(self, session_id: str) -> None:
        self.turns.pop(session_id, None)

    async def ping(self) -> None:
        pass

    async def reconnect(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


def deadlines(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Timeout]:
    """Return the limits of the requests to come, in their order: to be rescheduled, when time is over."""
    limits: list[asyncio.Timeout] = []
    timeout_at = asyncio.timeout_at

    def kept(when: float | None) -> asyncio.Timeout:
        limits.append(timeout_at(when))
        return limits[-1]

    monkeypatch.setattr(asyncio, "timeout_at", kept)
    return limits


async def at_once() -> None:
    """Wait for nothing."""


async def for_ever(_: float) -> None:
    """Wait for what never comes."""
    await asyncio.Event().wait()


@dataclass
class Rig:
    """The agent, the model behind it, and what was built of clients."""

    settings: Settings
    parts: Parts
    app: FastAPI
    wire: Wire
    http: httpx.AsyncClient
    models: list[ModelClient] = field(default_factory=list)
    sessions: list[Tools] = field(default_factory=list)

    async def ask(self, prompt: Any = "hi", session: str | None = "s", **headers: str) -> httpx.Response:
        if session is not None:
            headers[SESSION_HEADER] = session
        return await self.http.post("/invocations", json={"prompt": prompt}, headers=headers)

    async def turns(self, session: str = "s") -> int:
        return (await self.parts.store.load(session, "-")).version


@asynccontextmanager
async def rig(
    folder: Path,
    *replies: Reply,
    tools: Callable[[], Tools] | None = None,
    store: MemoryStore | None = None,
    make_hook: MakeHook | None = None,
    build: Callable[[], Awaitable[None]] = at_once,
    clock: Clock | None = None,
    **settings: Any,
) -> AsyncIterator[Rig]:
    """Run an agent whose model gives `replies`.

    Args:
        folder: for the session store.
        replies: of the model, in turn; the last one for all that follow.
        tools: opens a tool session, None for none.
        store: of the sessions, None for one in the folder.
        make_hook: makes the retry hooks, None for what the settings ask for.
        build: awaited when a model client is built.
        clock: of the clients' cache and of the control arms, None for one that stands still.
        settings: of the agent, where they are not the usual ones.
    """
    usual = {
        "openai_base_url": "http://model/v1",
        "openai_api_key": SECRET_KEY,
        "agent_session_store": f"sqlite:///{folder / 'sessions.db'}",
        "agent_retry_base_s": 0.0,
    }
    chosen = Settings(**(usual | settings))
    wire = Wire(replies)
    models: list[ModelClient] = []
    sessions: list[Tools] = []

    async def model() -> ModelClient:
        await build()
        models.append(openai_model(chosen, transport=wire))
        return models[-1]

    async def session() -> Any:
        assert tools is not None
        sessions.append(tools())
        return sessions[-1]

    clock = clock or FakeClock()
    parts = compose(
        chosen,
        builders=Builders(
            model=model,
            tools=session if tools else None,
            tools_required=chosen.agent_tools_required,
            build_s=chosen.agent_client_build_s,
        ),
        store=store,
        make_hook=make_hook,
        clock=clock.monotonic,
    )
    if chosen.agent_controls:
        controls.apply(parts, chosen.agent_controls, clock.monotonic)
    else:  # on a slow machine a stream's head would go before its error; who is about that puts in a sleep
        parts.handler._sleep = for_ever
    if chosen.agent_after_answer_share:
        after_answer.apply(parts)
    app = build_app(parts)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://agent:8080") as http,
    ):
        yield Rig(chosen, parts, app, wire, http, models, sessions)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


@dataclass
class Exchange:
    """One request driven by hand, event by event, by a caller who may hang up."""

    app: FastAPI
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = b'{"prompt": "hi"}'
    method: str = "POST"
    path: str = "/invocations"
    sent: list[dict[str, Any]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether a part of the body was asked for that isn't there yet."""
    task: asyncio.Task[None] | None = None
    _given: bool = False

    def begin(self) -> "Exchange":
        headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("agent", 80),
        }
        self.task = asyncio.create_task(self.app(scope, self._receive, self._send))
        return self

    async def _receive(self) -> dict[str, Any]:
        if self.body is not None and not self._given:
            self._given = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        self.asked.set()
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)
        self.news.set()

    async def until(self, seen: Callable[[], bool]) -> None:
        while not seen():
            self.news.clear()
            await self.news.wait()

    async def ended(self) -> None:
        assert self.task is not None
        await self.task

    @property
    def status(self) -> int | None:
        return next((m["status"] for m in self.sent if m["type"] == "http.response.start"), None)

    @property
    def items(self) -> list[dict[str, Any]]:
        """The server-sent events so far."""
        body = b"".join(m.get("body", b"") for m in self.sent if m["type"] == "http.response.body")
        return [
            json.loads(line.removeprefix("data: "))
            for line in body.decode().splitlines()
            if line.startswith("data: ")
        ]


async def one_in_work(agent: Rig) -> Exchange:
    """Begin a request whose model call hangs."""
    exchange = Exchange(agent.app).begin()
    await agent.wire.hanging.wait()
    return exchange


def named(spans: Sequence[ReadableSpan], prefix: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name.startswith(prefix)]


def orphans(spans: Sequence[ReadableSpan]) -> list[str]:
    """Names of spans whose parent is in no span that arrived, and not with the caller."""
    known = {span.context.span_id for span in spans}
    return [
        span.name
        for span in spans
        if span.parent is not None and not span.parent.is_remote and span.parent.span_id not in known
    ]


def identity(session: str, request: str) -> dict[str, str]:
    return {SESSION_HEADER: session, REQUEST_HEADER: request}
