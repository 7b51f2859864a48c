"""A server's side of HTTP with an end: to how much a request's head may be, and to how long it may take."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from harness.outside.one_protocol import OneProtocol
from harness.outside.uvicorn_parts import HttpToolsProtocol

MOST_HEAD_BYTES: Final = 64 * 1024
"""Also of what comes between the pieces of a body and after them: headers, which the parser would keep."""
HEAD_S: Final = 20.0
"""After which a connection is closed on which no head is whole: from the connection, or the head's begin."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. What is over its bounds is closed without an answer: nobody asked for one yet."""

    _head_since_s: float | None = None
    _unread_bytes = 0
    """Since a head was whole, or a piece of a body."""
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)
        parser: Any = OneProtocol(self)
        self.parser = parser
        self._head_since_s = self.loop.time()
        self._watch = self.loop.call_later(HEAD_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        if self._watch is not None:
            self._watch.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse; and close when headers go on and on."""
        self._unread_bytes += len(data)
        super().data_received(data)
        if self._unread_bytes > MOST_HEAD_BYTES:
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        """A piece of a body is there."""
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._head_since_s = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """It is whole."""
        self.head_is_whole()
        super().on_headers_complete()

    def head_is_whole(self) -> None:
        """Wait for no head until the next one begins."""
        self._head_since_s = None
        self._unread_bytes = 0

    def _look(self) -> None:
        """Close where a head takes too long, else look again: one timer a connection, not one a request."""
        if self._head_since_s is not None and self.loop.time() - self._head_since_s >= HEAD_S:
            self.transport.close()
        else:
            self._watch = self.loop.call_later(HEAD_S, self._look)
