"""Asks a service over connections that are kept: as little work a request as HTTP/1.1 allows."""

from __future__ import annotations

import ipaddress
import select
from collections.abc import Callable, Mapping
from typing import Final

from gevent import monkey, socket, ssl
from geventhttpclient import HTTPClient
from geventhttpclient.connectionpool import SSLConnectionPool
from geventhttpclient.header import Headers
from geventhttpclient.url import URL

from harness.load.reply import Reply, exchange
from harness.outside.headers import problem_of

DEFAULT_PORTS: Final = (None, 80, 443)
_poll = monkey.get_original("select", "poll") if hasattr(select, "poll") else None
_select = monkey.get_original("select", "select")
"""gevent's own would wait in the hub. Windows has no poll, and others take no large number for select."""


class Service:
    """One service.

    Args:
        host: its base URL; what is asked is below its own path.
        method: of HTTP.
        now: Unix seconds, for when parts of an answer were there.
        varying: names of the headers whose values differ from request to request; an empty one is not sent.
        headers: all others; one of the same name, in any case, takes the place of a varying one.

    Raises:
        ValueError: a header can't be sent.
    """

    def __init__(
        self,
        host: str,
        method: str = "POST",
        *,
        varying: tuple[str, ...],
        headers: Mapping[str, str],
        now: Callable[[], float],
    ) -> None:
        url = URL(host)
        self._head = head_of(host, method, varying, headers)
        self._now = now
        self._address = url.host, url.port or 80
        self._family = _family_of(url.host)
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self._tls = ssl.create_default_context(cafile=SSLConnectionPool.default_options["ca_certs"])
        self._idle: list[socket.socket] = []

    def request(self, target: str, body: bytes, *varying: str) -> bytes:
        """Return a whole request.

        Args:
            target: path and query.
            body: what is sent.
            varying: the values of the headers that differ.

        Raises:
            UnicodeEncodeError: a value has characters that no header can have.
            ValueError: a value would end its line.
        """
        for value in (target, *varying):
            if "\r" in value or "\n" in value:
                raise ValueError(f"the load can't send {value!r}")
        return self._head.format(target, len(body), *varying).encode("latin-1") + body

    def send(self, request: bytes, *, leave: bool = False) -> Reply:
        """Send a request and return the whole answer.

        It is sent once: a connection that breaks may have brought the request to the service.

        Args:
            request: all of it.
            leave: whether to hang up as soon as a part of the answer is there.

        Raises:
            OSError: the service can't be reached, or the connection to it broke.
            HTTPParseError: the answer is no HTTP, or it isn't whole.
            HTTPConnectionClosed: the connection was closed without one.
        """
        connection = self._connection()
        try:
            reply, keep = exchange(connection, request, self._now, leave=leave)
        except BaseException:  # a deadline, too
            connection.close()
            raise
        if keep:
            self._idle.append(connection)
        else:
            connection.close()
        return reply

    def _connection(self) -> socket.socket:
        while self._idle:
            connection = self._idle.pop()  # the last one used: the others get time to be closed
            if not _readable(connection):
                return connection
            connection.close()  # by the other side, or it says what nobody asked for
        return self._connect()

    def _connect(self) -> socket.socket:
        if self._family is None:
            connection = socket.create_connection(self._address)
        else:  # without the resolver, which is a thread
            connection = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            if self._family is not None:
                connection.connect(self._address)
            if self._tls is None:
                return connection
            return self._tls.wrap_socket(connection, server_hostname=self._address[0])
        except BaseException:
            connection.close()
            raise


def _readable(connection: socket.socket) -> bool:
    if _poll is None:
        return bool(_select([connection.fileno()], [], [], 0)[0])
    poll = _poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _family_of(host: str) -> int | None:
    """Return the address family of a host that is an IP address, None for a name."""
    try:
        return socket.AF_INET if ipaddress.ip_address(host).version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
    except ValueError:
        return None


def head_of(host: str, method: str, varying: tuple[str, ...], headers: Mapping[str, str]) -> str:
    """Return the head of a request, with places for its target, the body's length, then the varying headers.

    Raises:
        ValueError: a header can't be sent.
    """
    url = URL(host)
    same = Headers({"Host": _host_of(url)})
    same.update(HTTPClient.DEFAULT_HEADERS)
    same.update(headers)
    for name, value in [*same.items(), *((name, "") for name in varying if name)]:
        if problem := problem_of(name, value):
            raise ValueError(f"the load can't send a header: {problem}")
    lines = [f"{name}: {value}" for name, value in same.items()]
    first = f"{method} {_escaped(url.path.rstrip('/'))}{{0}} HTTP/1.1"
    places = [f"{name}: {{{place}}}" for place, name in enumerate(varying, 2) if name and name not in same]
    return "\r\n".join([first, *map(_escaped, lines), *places, "Content-Length: {1}", "", ""])


def _escaped(text: str) -> str:
    """Return what `str.format` makes this text of."""
    return text.replace("{", "{{").replace("}", "}}")


def _host_of(url: URL) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    return host if url.port in DEFAULT_PORTS else f"{host}:{url.port}"
