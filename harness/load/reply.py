"""One request and its answer over a connection, with no more work than HTTP/1.1 asks for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import httptools
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

BLOCK_BYTES: Final = 16384
MOST_BYTES: Final = 16 * 1024 * 1024
"""Of an answer with its head: a text is far smaller, and one without an end would fill the memory."""
FINAL: Final = 200
"""Answers of a lower status are interim ones."""
WITHOUT_BODY: Final = (204, 304)
LENGTH: Final = b"content-length"
CODING: Final = b"transfer-encoding"


class Connection(Protocol):
    """What is asked of a socket."""

    def send(self, data: bytes, /) -> int:
        """Send as much as there is room for; return how many bytes that was."""
        ...

    def sendall(self, data: bytes, /) -> object:
        """Send all of it, waiting for room."""
        ...

    def recv(self, size: int, /) -> bytes:
        """Wait for some bytes; none when the other side has closed."""
        ...


class Reply:
    """An answer, filled by httptools as its bytes come in.

    Attributes:
        status: HTTP status.
        headers: by name in lower case; of several of one name the last.
        complete: whether all of it is there.
        first_byte_s: when its first byte was there, 0.0 for not yet.
        left: whether its reader left before the end.
        marks: when how many bytes of the body were there, at each block that brought some.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.status = 0
        self.first_byte_s = 0.0
        self.left = False
        self.block_s = 0.0
        """When the block came that is being read."""
        self.on_message_begin()

    @property
    def body(self) -> bytes:
        """What there is of the body."""
        return b"".join(self._parts)

    @property
    def framed(self) -> bool:
        """Whether it says where it ends; if not, it ends with the connection."""
        return LENGTH in self.headers or CODING in self.headers or self.status in WITHOUT_BODY

    def header(self, name: bytes) -> str | None:
        """Return a header by its name in lower case, None when there is none."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def on_message_begin(self) -> None:
        """Forget what came before: an interim answer."""
        self.headers: dict[bytes, bytes] = {}
        self.complete = False
        self._headed = False
        self.marks: list[tuple[float, int]] = []
        self._length = 0
        self._parts: list[bytes] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The body is next."""
        self._headed = True

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body."""
        self._parts.append(part)
        self._length += len(part)
        self.marks.append((self.block_s, self._length))

    def time_of(self, length: int) -> float | None:
        """Return when so many bytes of the body were there, None when there never were."""
        return next((at_s for at_s, there in self.marks if there >= length), None)

    def on_message_complete(self) -> None:
        """This was all."""
        self.complete = True

    def end(self) -> None:
        """Take the end of the connection for that of the answer, where it may be that."""
        self.complete = self._headed and not self.framed


def exchange(
    connection: Connection, request: bytes, now: Callable[[], float], *, leave: bool = False
) -> tuple[Reply, bool]:
    """Send a request; return its answer, and whether the connection can be used for another.

    Args:
        connection: to the service.
        request: all of it.
        now: Unix seconds.
        leave: whether to leave once a part of the body is there that is not all of it.

    Raises:
        OSError: the connection broke.
        HTTPParseError: the answer is no HTTP, or it isn't whole.
        HTTPConnectionClosed: the connection was closed without one.
    """
    with suppress(ConnectionResetError, BrokenPipeError):
        _send(connection, request)  # it may have been answered before it was read: then that is what counts
    reply, closed, heard = Reply(), False, False
    parser, left = httptools.HttpResponseParser(reply), MOST_BYTES
    while not reply.complete or reply.status < FINAL:
        block = _receive(connection, first=not heard)
        reply.block_s = now()
        heard = True
        if not block:
            reply.end()
            if not reply.complete:
                raise HTTPParseError("connection closed before the end of the answer")
            closed = True
            break
        if (left := left - len(block)) < 0:
            raise HTTPParseError(f"the answer is larger than {MOST_BYTES} bytes")
        try:
            reply.first_byte_s = reply.first_byte_s or reply.block_s
            parser.feed_data(block)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise HTTPParseError(str(error)) from error
        reply.status = parser.get_status_code()
        if leave and reply.marks and not reply.complete:
            reply.left = True
            return reply, False
    lasting = parser.get_http_version() == "1.1" and reply.headers.get(b"connection", b"").lower() != b"close"
    return reply, lasting and reply.framed and not closed


def _send(connection: Connection, request: bytes) -> None:
    sent = connection.send(request)  # there is room nearly always, and gevent's `sendall` takes twice as long
    if sent < len(request):
        connection.sendall(request[sent:])


def _receive(connection: Connection, *, first: bool) -> bytes:
    """Return what comes next; nothing at its regular end."""
    try:
        block = connection.recv(BLOCK_BYTES)
    except ConnectionResetError:
        if not first:
            raise
        block = b""
    if first and not block:
        raise HTTPConnectionClosed("connection closed.")
    return block
