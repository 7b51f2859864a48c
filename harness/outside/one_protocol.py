"""A parser that goes on in HTTP/1.1 with a request which asks for another protocol.

Java's own client asks for HTTP/2 at its first request (`Upgrade: h2c`), and who is asked may ignore it (RFC
9110, 7.8). But httptools ends with such a head, and takes the request's body for the other protocol's. So the
head is read again, without the wish.
"""

from __future__ import annotations

from typing import Any

import httptools

TOLD = ("on_message_begin", "on_url", "on_header", "on_body")
"""What the parser tells, beside when a head and a message are whole;"""
ASKED = ("get_method", "get_http_version", "should_keep_alive", "should_upgrade")
"""and what a connection asks it."""


class OneProtocol:
    """Stands between a connection and httptools' parser.

    Args:
        connection: of uvicorn.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        for name in TOLD:
            setattr(self, name, getattr(connection, name))
        self._begin_anew()

    def feed_data(self, data: bytes) -> None:
        """Parse.

        Raises:
            httptools.HttpParserError: it is no HTTP.
            httptools.HttpParserUpgrade: it is a CONNECT.
        """
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as ended:
                if not self._asked_for_another():
                    raise
                data = self._head_without_upgrade() + data[ended.args[0] :]
                self._begin_anew()
            else:
                return

    def on_headers_complete(self) -> None:
        """Tell the connection, unless the head is read again."""
        if not self._asked_for_another():
            self._connection.on_headers_complete()

    def on_message_complete(self) -> None:
        """Likewise."""
        if not self._asked_for_another():
            self._connection.on_message_complete()

    def _begin_anew(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        for name in ASKED:
            setattr(self, name, getattr(self._parser, name))
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own

    def _asked_for_another(self) -> bool:
        return bool(self._parser.should_upgrade()) and self._parser.get_method() != b"CONNECT"

    def _head_without_upgrade(self) -> bytes:
        version = self._parser.get_http_version().encode("ascii")
        lines = [b"%b %b HTTP/%b" % (self._parser.get_method(), self._connection.url, version)]
        lines += [b"%b: %b" % header for header in self._connection.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])
