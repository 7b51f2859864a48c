"""The HTTP server: limits on headers, and a shutdown that drops no request."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import httptools
import uvicorn
from fastapi import FastAPI
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reference_agent.contract import MAX_HEADER_BYTES
from reference_agent.health import Health
from reference_agent.patterns.busy_signal import BusySignal
from reference_agent.settings import Settings

KEEP_ALIVE_S = 75
"""Longer than the balancer keeps idle connections: else it sends into one that just closed."""
HEADERS_S = 20.0
"""How long headers may take, from the connection or their begin."""
LAST_ANSWERS_S = 1
"""For answers that are being written when the draining is over."""


class _Parser:
    """A parser that reads on after a request which asks for another protocol.

    Java's own client asks for HTTP/2 at its first request (`Upgrade: h2c`), others for a websocket. An agent
    speaks neither, and may ignore the wish (RFC 9110, 7.8). But httptools ends with such a head, and takes
    the request's body for the other protocol's. So the head is read again, without the wish.

    Args:
        connection: has what was read, and whether it is such a head.
        inner: of httptools.
    """

    def __init__(self, connection: BoundedHeaders, inner: Any) -> None:
        self._connection = connection
        self._inner = inner

    def feed_data(self, data: bytes) -> None:
        while data:
            try:
                self._inner.feed_data(data)
            except httptools.HttpParserUpgrade as ended:
                if not self._connection.asks_for_another_protocol():
                    raise
                data = self._connection.head_without_upgrade() + data[ended.args[0] :]
                self._inner = httptools.HttpRequestParser(self._connection)
                self._inner.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
            else:
                return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class BoundedHeaders(HttpToolsProtocol):
    """Answers 400 to a request whose address and headers are too large, before it is worked on.

    One whose headers never end, in size or in time, is closed: its parser would keep them until they do. So
    is one with too many of them after its body. None ever leaves it for another protocol.
    """

    _header_bytes = 0
    _unread_bytes = 0
    _waiting_since_s: float | None = None
    _watch: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        parser: Any = _Parser(self, self.parser)
        self.parser = parser
        self._waiting_since_s = self.loop.time()
        self._watch = self.loop.call_later(HEADERS_S, self._look)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._watch is not None:
            self._watch.cancel()

    @override
    def data_received(self, data: bytes) -> None:
        self._unread_bytes += len(data)
        super().data_received(data)
        if self._unread_bytes > 2 * MAX_HEADER_BYTES:
            self.transport.close()

    @override
    def on_headers_complete(self) -> None:
        if self.asks_for_another_protocol():
            return
        self._waiting_since_s = None
        self._unread_bytes = 0
        super().on_headers_complete()

    @override
    def on_message_complete(self) -> None:
        if not self.asks_for_another_protocol():
            super().on_message_complete()

    def asks_for_another_protocol(self) -> bool:
        """Return whether the head that was read does, and can be read without that."""
        return bool(self.parser.should_upgrade()) and self.parser.get_method() != b"CONNECT"

    def head_without_upgrade(self) -> bytes:
        """Return the head that was read, but for its wish."""
        version = self.parser.get_http_version().encode("ascii")
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    @override
    def on_body(self, body: bytes) -> None:
        self._unread_bytes = 0
        super().on_body(body)

    def _look(self) -> None:
        since_s = self._waiting_since_s
        if since_s is not None and self.loop.time() - since_s >= HEADERS_S:
            self.transport.close()
        else:
            self._watch = self.loop.call_later(HEADERS_S, self._look)

    @override
    def on_message_begin(self) -> None:
        self._header_bytes = 0
        self._waiting_since_s = self.loop.time()
        super().on_message_begin()

    @override
    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, more_bytes: int) -> None:
        self._header_bytes += more_bytes
        if self._header_bytes > MAX_HEADER_BYTES:
            raise ValueError(f"address and headers are over {MAX_HEADER_BYTES} bytes")


class DrainingServer(uvicorn.Server):
    """Exits on SIGTERM when its requests are done: not ready from then on, and exit code 0.

    New connections are accepted until then, to be answered "not ready" and "busy" instead of
    being refused. A second signal ends it at once.

    Args:
        config: uvicorn's.
        health: where the draining is set.
        busy: counts the requests in work.
        drain_s: how long they may take.
        clock: seconds since any origin.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        health: Health,
        busy: BusySignal,
        *,
        drain_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config)
        self._health = health
        self._busy = busy
        self._drain_s = drain_s
        self._clock = clock
        self._draining_since_s: float | None = None

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; uvicorn's own way ends the process by the signal, its telemetry unsent."""
        if self._draining_since_s is not None:
            self.should_exit = True
            self.force_exit = sig == signal.SIGINT
            return
        self._draining_since_s = self._clock()
        self._health.drain()

    @override
    async def on_tick(self, counter: int) -> bool:
        """Return whether to exit; called every 0.1 s."""
        return await super().on_tick(counter) or self._drained()

    def _drained(self) -> bool:
        if self._draining_since_s is None:
            return False
        late = self._clock() - self._draining_since_s >= self._drain_s
        return late or self._busy.state.in_flight == 0


def serve(app: FastAPI, settings: Settings, health: Health, busy: BusySignal) -> None:
    """Serve until a signal ends it."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=BoundedHeaders,
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=LAST_ANSWERS_S,
    )
    DrainingServer(config, health, busy, drain_s=settings.agent_drain_s).run()
