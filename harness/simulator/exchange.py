"""Requests and their answers on a connection: uvicorn's own, with a shorter way out for model calls."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any
from urllib.parse import unquote

import httptools

from harness.outside.bounded_http import BoundedHttp
from harness.outside.plugins import PluginError
from harness.outside.uvicorn_parts import HIGH_WATER_LIMIT, STATUS_LINE, RequestResponseCycle
from harness.simulator.delivery import Connection, Sent, head_of
from harness.simulator.reply import Reply
from harness.simulator.serve import ModelSimulator
from harness.simulator.wire.protocol import Wire

_numbers = itertools.count(1)


class Exchange(RequestResponseCycle):
    """One request and its answer.

    An answer whose start says whether its head is `joined` with the first piece is ours: its headers
    need no check, and head, chunk and end leave in one write.
    """

    _ours = False
    _held = b""

    async def send(self, message: Any) -> None:
        """Send a head or a piece of a body."""
        if self._ours:
            if self.flow.write_paused and not self.disconnected:
                await self.flow.drain()
            self._piece(message["body"], more=message["more_body"])
        elif "joined" in message:
            self._begin(message)
        else:
            await super().send(message)

    def whole(self, reply: Reply) -> Sent:
        """Send all of a reply, in one write."""
        body = reply.steps[0][1] if len(reply.steps) == 1 else b"".join([piece for _, piece in reply.steps])
        self._begin(head_of(reply))
        self._piece(body, more=False)
        return Sent(reply.status, len(body))

    def _begin(self, message: Any) -> None:
        """Write the head, or keep it for the first piece."""
        self._ours = self.response_started = True
        headers = [*self.default_headers, *message["headers"]]
        if (length := message["length"]) is not None:
            headers.append((b"content-length", b"%d" % length))
        elif self.scope["http_version"] == "1.1":
            self.chunked_encoding = True
            headers.append((b"transfer-encoding", b"chunked"))
        else:  # without chunks, the end of the connection is the end of the body
            self.keep_alive = False
        if not self.keep_alive:
            headers.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % header for header in headers]
        self._held = b"".join((STATUS_LINE[message["status"]], *lines, b"\r\n"))
        if not message["joined"]:
            self._write(b"")

    def _piece(self, body: bytes, *, more: bool) -> None:
        if self.chunked_encoding:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        self._write(body)
        if more or self.disconnected:
            return
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _write(self, data: bytes) -> None:
        if not self.disconnected:
            self.transport.write(self._held + data)
        self._held = b""


class Exchanges(BoundedHttp):
    """One connection: numbers it, lets an answer see when its caller hangs up, and takes a shorter way.

    A model call whose body is there is decided on at once, and answered so where nothing is to wait for.
    All else goes through the application as ASGI has it.
    """

    _idle_since_s = 0.0
    _idle_timer: asyncio.TimerHandle | None = None
    """Looks again when it fires, which is cheaper than a new one for each call."""
    _call: tuple[Exchange, Wire, float] | None = None
    """The call that may take the shorter way, while its body comes; and when its head arrived."""

    def connection_made(self, transport: Any) -> None:
        """Give every request of this connection its number and its transport."""
        self._numbered = Connection(next(_numbers), transport)
        router: Any = self.app
        self._simulator: ModelSimulator = router.simulator
        self.app_state = {**self.app_state, "connection": self._numbered}
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the answer that is on its way."""
        super().connection_lost(exc)
        self._numbered.lost()
        if self._idle_timer is not None:
            self._idle_timer.cancel()

    def _begin(self, exchange: Any, app: Any) -> None:
        """Let the application answer, in a task of its own."""
        task = self.loop.create_task(exchange.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_response_complete(self) -> None:
        """Begin what waits on this connection."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._idle_since_s = self.loop.time()
        if self.pipeline:
            self._begin(*self.pipeline.pop())
        elif self._idle_timer is None:
            self._close_when_idle()

    def _close_when_idle(self) -> None:
        """Close a connection that was idle for long enough, else look again when it could be."""
        idle_s = self.loop.time() - self._idle_since_s if self.cycle.response_complete else 0.0
        if idle_s >= self.timeout_keep_alive:
            self.timeout_keep_alive_handler()
        else:
            left_s = self.timeout_keep_alive - idle_s
            self._idle_timer = self.loop.call_later(left_s, self._close_when_idle)

    def data_received(self, data: bytes) -> None:
        """Parse; and answer a call that is whole, outside of the parser, which would hide an error."""
        super().data_received(data)
        if self._call is None:
            return
        exchange, wire, arrived_s = self._call
        if self.transport.is_closing():
            self._call = None
        elif not exchange.more_body:
            self._call = None
            self._answer(exchange, wire, arrived_s)
        elif len(exchange.body) > HIGH_WATER_LIMIT:  # the application takes it piece by piece
            self._call = None
            self._begin(exchange, self.app)

    def _answer(self, exchange: Exchange, wire: Wire, arrived_s: float) -> None:
        simulator, connection = self._simulator, self._numbered
        scope: Any = exchange.scope
        try:
            attempt = simulator.attempt(wire, scope, bytes(exchange.body), arrived_s, simulator.in_work)
        except PluginError:  # who is told ends the server: there is no answer
            self.transport.abort()
            return
        if attempt.reply.at_once and not self.flow.write_paused:
            simulator.note(attempt, exchange.whole(attempt.reply), connection)
            return

        async def deliver(_scope: Any, _receive: Any, send: Any) -> None:
            await simulator.deliver(attempt, connection, send)

        self._begin(exchange, deliver)

    def on_headers_complete(self) -> None:
        """Begin an exchange, once those before it on this connection are done."""
        self.head_is_whole()
        version = self.parser.get_http_version()
        method = self.parser.get_method()
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope |= {
            "method": method.decode("ascii"),
            "http_version": version,
            "path": unquote(path),
            "raw_path": url.path,
            "query_string": url.query or b"",
        }
        before = self.cycle
        exchange = self.cycle = Exchange(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is not None and not before.response_complete:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))
            return
        wire = self._simulator.wire_of(path) if method == b"POST" else None
        # The first call over a connection may have to wait for what a handshake costs.
        if wire is not None and self._numbered.used and not self.expect_100_continue:
            self._call = exchange, wire, self._simulator.now()
        else:
            self._begin(exchange, self.app)
