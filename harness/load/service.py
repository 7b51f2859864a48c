"""Posts to a service over connections that are kept: as little work a request as HTTP/1.1 allows."""

from __future__ import annotations

import ipaddress
import select
from collections.abc import Mapping
from typing import Final

from gevent import monkey, socket, ssl
from geventhttpclient import HTTPClient
from geventhttpclient.connectionpool import SSLConnectionPool
from geventhttpclient.header import Headers
from geventhttpclient.url import URL

from harness.load.reply import Reply, exchange
from harness.outside.headers import problem_of

DEFAULT_PORTS: Final = (None, 80, 443)
_poll = monkey.get_original("select", "poll")  # gevent's own would wait in the hub


class Service:
    """One service, asked by POST.

    Args:
        host: its base URL.
        path: where requests go, below the base URL's own path.
        varying: names of the headers whose values differ from request to request; an empty one is not sent.
        headers: all others; one of the same name, in any case, takes the place of a varying one.

    Raises:
        ValueError: a header can't be sent.
    """

    def __init__(self, host: str, path: str, *, varying: tuple[str, ...], headers: Mapping[str, str]) -> None:
        url = URL(host)
        self._head = head_of(host, path, varying, headers)
        self._address = url.host, url.port or 80
        self._family = _family_of(url.host)
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self._tls = ssl.create_default_context(cafile=SSLConnectionPool.default_options["ca_certs"])
        self._idle: list[socket.socket] = []

    def request(self, body: bytes, *varying: str) -> bytes:
        """Return a whole request.

        Args:
            body: what is sent.
            varying: the values of the headers that differ.

        Raises:
            UnicodeEncodeError: a value has characters that no header can have.
        """
        return self._head.format(len(body), *varying).encode("latin-1") + body

    def post(self, request: bytes) -> Reply:
        """Send a request and return the whole answer.

        It is sent once: a connection that breaks may have brought the request to the service.

        Raises:
            OSError: the service can't be reached, or the connection to it broke.
            HTTPParseError: the answer is no HTTP, or it isn't whole.
            HTTPConnectionClosed: the connection was closed without one.
        """
        connection = self._connection()
        try:
            reply, keep = exchange(connection, request)
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
    poll = _poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _family_of(host: str) -> int | None:
    """Return the address family of a host that is an IP address, None for a name."""
    try:
        return socket.AF_INET if ipaddress.ip_address(host).version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
    except ValueError:
        return None


def head_of(host: str, path: str, varying: tuple[str, ...], headers: Mapping[str, str]) -> str:
    """Return the head of a request, with places for the body's length, then the varying headers.

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
    lines = [
        f"POST {url.path.rstrip('/')}{path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in same.items()),
    ]
    places = [f"{name}: {{{place}}}" for place, name in enumerate(varying, 1) if name and name not in same]
    escaped = [line.replace("{", "{{").replace("}", "}}") for line in lines]
    return "\r\n".join([*escaped, *places, "Content-Length: {0}", "", ""])


def _host_of(url: URL) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    return host if url.port in DEFAULT_PORTS else f"{host}:{url.port}"
