"""The HTTP of agent, simulator, capture and tool server: requests that nobody meant, within this process.

Whatever is asked, it is answered below 500, or the caller has hung up; an exception that gets out of an
application is a fault.
"""

import asyncio
import atexit
import contextlib
import gzip
import json
import random
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from harness.capture.frames import FrameWriter
from harness.capture.receiver import Receiver, ReceiverStats
from harness.clock import FakeClock
from harness.simulator.mcp_server import Handshakes, JoinTrace, WholeBody, build_server
from harness.simulator.tool_faults import ToolFaults
from harness.simulator.tool_server_config import read_tools
from tests.fuzz.damage import damaged
from tests.harness.capture.otlp import request as otlp_request
from tests.harness.simulator.asgi import Api, NumberedConnection
from tests.harness.simulator.wires import PATHS, STREAM_PATHS, body
from tests.reference_agent.rig import MemoryStore, rig
from tests.reference_agent.wire import says

Message = MutableMapping[str, Any]
App = Callable[[Any, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
SERVER_ERROR = 500
TOO_LATE = 504
"""By the deadline that the caller gives, which may be any."""
USED = 200
"""Requests to one application, after which it is made anew: what they leave in it shall not add up."""
JSON = (b"content-type", b"application/json")
NOT_IN_A_PATH = re.compile(rb"[^\x21-\x7e]|[?#]")
NOT_IN_A_VALUE = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")
NOT_IN_A_NAME = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9a-z]")


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: bytes
    body: bytes = b""
    query: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = (JSON,)


def odd(draw: random.Random, right: Asked) -> Asked:
    """Return a request with one part damaged, as far as a server lets that through to an application."""
    part = draw.choice(("body", "body", "body", "headers", "path", "query", "method"))
    method, path, query, headers = right.method, right.path, right.query, list(right.headers)
    if part == "path":
        path = b"/" + NOT_IN_A_PATH.sub(b"", damaged(draw, path)).lstrip(b"/")
    if part == "query":
        query = NOT_IN_A_PATH.sub(b"", damaged(draw, query or b"since=0&limit=9"))
    if part == "method":
        method = draw.choice(("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "POST", "QUERY"))
    if part == "headers":
        place = draw.randrange(len(headers))
        name, value = headers[place]
        if draw.random() < 0.2:
            name = NOT_IN_A_NAME.sub(b"", damaged(draw, name).lower()) or b"x"
        headers[place] = name, NOT_IN_A_VALUE.sub(b"", damaged(draw, value)).strip()
    content = damaged(draw, right.body) if part == "body" else right.body
    return Asked(method, path[:8000], content, query[:8000], headers)


@dataclass
class Exchange:
    """A request on its way, in pieces; the caller may hang up before its end."""

    draw: random.Random
    asked: Asked
    answered: list[Message] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        whole = self.asked.body
        cuts = sorted(self.draw.randint(0, len(whole)) for _ in range(self.draw.choice((0, 0, 1, 3))))
        self._pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        self._hangs_up = self.draw.random() < 0.05

    async def receive(self) -> Message:
        if self._pieces and not (self._hangs_up and len(self._pieces) == 1):
            piece = self._pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}
        if not self._hangs_up and self.asked.method != "GET":  # a GET may be a stream without an end
            await self.over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.answered.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.over.set()

    async def take(self, app: App, state: Mapping[str, Any]) -> int | None:
        """Have it answered; return the status, None where nobody was there to get one."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.asked.method,
            "scheme": "http",
            "path": unquote(self.asked.path.decode("latin-1")),
            "raw_path": self.asked.path,
            "query_string": self.asked.query,
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1:8080"), *self.asked.headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8080),
            "state": dict(state),
        }
        await app(scope, self.receive, self.send)
        starts = [each["status"] for each in self.answered if each["type"] == "http.response.start"]
        assert len(starts) <= 1, "answered twice"
        return starts[0] if starts else None


class Served:
    """An application that is up, on a loop of its own, and made anew now and then."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[App]]) -> None:
        self._make = make
        self._runner = asyncio.Runner()
        atexit.register(self._runner.close)
        self._used = USED
        self._up: asyncio.Task[None] | None = None

    def ask(self, draw: random.Random, asked: Asked, state: Mapping[str, Any] | None = None) -> int | None:
        return self._runner.run(self._ask(draw, asked, state or {}))

    async def _ask(self, draw: random.Random, asked: Asked, state: Mapping[str, Any]) -> int | None:
        if self._used >= USED:
            await self._renew()
        self._used += 1
        return await Exchange(draw, asked).take(self._app, state)

    async def _renew(self) -> None:
        if self._up is not None:
            self._up.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._up
        ready = asyncio.Event()
        self._up = asyncio.create_task(self._hold(ready))
        await ready.wait()
        self._used = 0

    async def _hold(self, ready: asyncio.Event) -> None:
        """Hold it up: what it begins has to end in the same task."""
        async with self._make() as self._app:
            ready.set()
            await asyncio.Event().wait()


@asynccontextmanager
async def _agent() -> AsyncIterator[App]:
    with tempfile.TemporaryDirectory() as folder:
        async with rig(Path(folder), says("hello"), store=MemoryStore(0)) as made:
            yield made.app


@asynccontextmanager
async def _tools() -> AsyncIterator[App]:
    config = read_tools(None)
    tools = build_server(config).streamable_http_app(host="127.0.0.1")
    async with tools.router.lifespan_context(tools):
        yield WholeBody(Handshakes(ToolFaults(JoinTrace(tools), config), 0.0))


@asynccontextmanager
async def _capture() -> AsyncIterator[App]:
    with tempfile.TemporaryDirectory() as folder:
        files = [FrameWriter(Path(folder) / name) for name in ("traces.raw", "metrics.raw")]
        yield Receiver(*files, clock=FakeClock(), stats=ReceiverStats())  # type: ignore[arg-type]  # dict scopes
        for file in files:
            file.close()


@asynccontextmanager
async def _simulator() -> AsyncIterator[App]:
    yield Api().router


@cache
def served(name: str) -> Served:
    makers = {"agent": _agent, "tools": _tools, "capture": _capture, "simulator": _simulator}
    return Served((makers | {"control": _simulator})[name])


# --- targets ---------------------------------------------------------------------------
def agent_http(draw: random.Random) -> None:
    headers = [
        JSON,
        (b"x-amzn-bedrock-agentcore-runtime-session-id", b"s" * 40),
        (b"x-amzn-bedrock-agentcore-runtime-request-id", b"r-%d" % draw.randrange(10**9)),
        (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (b"accept", draw.choice((b"application/json", b"text/event-stream"))),
        (b"x-envoy-expected-rq-timeout-ms", b"5000"),
    ]
    right = Asked(
        "POST", b"/invocations", b'{"prompt": "What is it?", "more": [1, {"a": null}]}', b"", headers
    )
    status = served("agent").ask(draw, odd(draw, right))
    assert status is None or status < SERVER_ERROR or status == TOO_LATE, status


CONTROL = (
    Asked(
        "PATCH", b"/sim/config", b'{"seed": 9, "quota": {"rpm": 60}, "latency": {"ttft": {"median_s": 1}}}'
    ),
    Asked("POST", b"/sim/faults", b'{"kind": "auth", "times": 1, "probability": 0.5, "window_s": [0, 9]}'),
    Asked("POST", b"/sim/reset", b'{"start_s": 1.5}'),
    Asked("GET", b"/sim/requests", b"", b"since=0&limit=10"),
    Asked("POST", b"/oauth2/token", b"grant_type=client_credentials&client_id=a&client_secret=b"),
)


def simulator_http(draw: random.Random) -> None:
    state = {"connection": NumberedConnection(FakeClock())}
    if draw.random() < 0.1:  # what they change would be seen in the answers of others
        status = served("control").ask(draw, odd(draw, draw.choice(CONTROL)), state)
    else:
        protocol = draw.choice(sorted(PATHS))
        paths = [PATHS[protocol], STREAM_PATHS.get(protocol, PATHS[protocol])]
        right = Asked("POST", draw.choice(paths).encode(), body(protocol, "What is it?"))
        status = served("simulator").ask(draw, odd(draw, right), state)
    assert status is None or status < SERVER_ERROR, status


def capture_http(draw: random.Random) -> None:
    content, kind = otlp_request().SerializeToString(), b"application/x-protobuf"
    headers = [(b"content-type", kind)]
    if draw.random() < 0.3:
        content, headers = gzip.compress(content), [*headers, (b"content-encoding", b"gzip")]
    path = draw.choice((b"/v1/traces", b"/v1/traces", b"/v1/metrics"))
    status = served("capture").ask(draw, odd(draw, Asked("POST", path, content, b"", headers)))
    assert status is None or status < SERVER_ERROR, status


MESSAGES = (
    json.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": {"name": "x", "version": "1"},
            },
        }
    ).encode(),
    b'{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}',
    b'{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"search","arguments":{"query":"a"}}}',
    b'{"jsonrpc":"2.0","method":"notifications/initialized"}',
)


def tools_http(draw: random.Random) -> None:
    headers = [
        JSON,
        (b"accept", b"application/json, text/event-stream"),
        (b"mcp-protocol-version", b"2025-06-18"),
        (b"mcp-session-id", b"0af7651916cd43dd8448eb211c80319c"),
    ][: draw.choice((3, 4))]
    status = served("tools").ask(draw, odd(draw, Asked("POST", b"/mcp", draw.choice(MESSAGES), b"", headers)))
    assert status is None or status < SERVER_ERROR, status


HTTP_TARGETS = (agent_http, simulator_http, capture_http, tools_http)
