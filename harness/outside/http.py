"""Calls to what may answer slowly, endlessly or not at all: a call has a deadline, an answer a size.

No proxy of the environment is ever asked: what is called here is on this machine, or was named as it is.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from harness.errors import StartError

MOST_BYTES: Final = 16 * 1024 * 1024
"""Of an answer's body."""
PART_S: Final = 60.0
"""How long a part of the harness may take to answer the harness: there only to end what hangs."""
BLOCK_BYTES: Final = 64 * 1024
HEADERS: Final = {"accept-encoding": "identity"}
"""What is packed may be endless once it is unpacked."""
SOCKET: Final = ".sock"
"""Ends the host of an address, `http://envoy.sock/ready`, that is a Unix socket."""


def control_client(
    deadline_s: float,
    *,
    base_url: str = "",
    most_bytes: int = MOST_BYTES,
    headers: dict[str, str] | None = None,
    sockets: Path | None = None,
    unix: Path | None = None,
    transport: httpx.BaseTransport | None = None,
) -> httpx.Client:
    """Return a client whose `timeout` is that of a whole call, whatever comes how slowly.

    Args:
        deadline_s: that a call may take, where it says nothing else by `timeout`.
        base_url: what paths are put behind.
        most_bytes: a longer answer is an error.
        headers: of each request.
        sockets: the folder in which hosts that end in `.sock` are Unix sockets; None where there are none.
        unix: the Unix socket that every call goes to, whatever its host; None for the network.
        transport: of HTTP, for tests; the network by default.
    """
    return httpx.Client(
        base_url=base_url,
        timeout=deadline_s,
        headers=HEADERS | (headers or {}),
        trust_env=False,
        transport=transport or _BoundedTransport(most_bytes, sockets, unix),
    )


def service_client(
    deadline_s: float,
    *,
    base_url: str,
    headers: dict[str, str],
    auth: httpx.Auth | None = None,
    transport: httpx.BaseTransport | None = None,
) -> httpx.Client:
    """Return a client of a service elsewhere, over TLS where its address says so.

    Args:
        deadline_s: that connecting may take, and each read.
        base_url: what paths are put behind.
        headers: of each request.
        auth: says who asks, where headers don't.
        transport: that knows more of the service; the network by default.
    """
    return httpx.Client(
        base_url=base_url,
        timeout=deadline_s,
        headers=HEADERS | headers,
        auth=auth,
        trust_env=False,
        transport=transport or httpx.HTTPTransport(trust_env=False),
    )


def tell(method: str, url: str, *, deadline_s: float = PART_S, **given: Any) -> None:
    """Tell a part of the harness something that it has to take.

    Args:
        method: of HTTP.
        url: where.
        deadline_s: how long it may take.
        given: as `httpx.Client.request` takes it: json, content, headers.

    Raises:
        StartError: it doesn't take it.
    """
    try:
        with control_client(deadline_s) as client:
            client.request(method, url, **given).raise_for_status()
    except httpx.HTTPError as error:
        raise StartError(f"{method} {url}: {error}. A part of the harness should have taken it.") from error


def told_by(url: str, *, deadline_s: float = PART_S, headers: dict[str, str] | None = None) -> Any:
    """Return what a part of the harness tells in JSON.

    Args:
        url: where.
        deadline_s: how long it may take.
        headers: of the request.

    Raises:
        StartError: it tells nothing.
    """
    try:
        with control_client(deadline_s) as client:
            return client.get(url, headers=headers).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise StartError(f"GET {url}: {error}. A part of the harness should have answered.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the harness that is told things.

    Attributes:
        url: base of its addresses.
        token: that it asks for, None where it is on loopback.
    """

    url: str
    token: str | None = field(default=None, repr=False)

    def tell(self, method: str, path: str, json: Any) -> None:
        """Tell it something that it has to take.

        Raises:
            StartError: it doesn't take it.
        """
        tell(method, self.url + path, json=json, headers=self._headers)

    def told(self, path: str) -> Any:
        """Return what it tells in JSON.

        Raises:
            StartError: it tells nothing.
        """
        return told_by(self.url + path, headers=self._headers)

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"} if self.token else {}


class _BoundedTransport(httpx.BaseTransport):
    """HTTP/1.1 over a connection of its own for each call."""

    def __init__(self, most_bytes: int, sockets: Path | None, unix: Path | None) -> None:
        self._most_bytes = most_bytes
        self._sockets = sockets
        self._unix = unix

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return its whole answer.

        Raises:
            httpx.TransportError: there was none, or it was too late, too large or no HTTP.
        """
        given = [value for value in request.extensions["timeout"].values() if value is not None]
        deadline_s: float = min(given)
        url = request.url
        if url.scheme != "http":
            raise httpx.UnsupportedProtocol(f"{url}: only http is spoken here", request=request)
        near = self._sockets / url.host if self._sockets and url.host.endswith(SOCKET) else self._unix
        connection = _Connection(url.host, url.port or 80, near, time.monotonic() + deadline_s)
        try:
            connection.request(
                request.method,
                url.raw_path.decode(),
                request.read(),
                {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.raw},
            )
            answer = connection.getresponse()
            body = self._body(answer)
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no whole answer within {deadline_s:g} s", request=request) from error
        except OSError as error:
            raise httpx.NetworkError(error.strerror or str(error), request=request) from error
        except (http.client.HTTPException, ValueError) as error:
            said = f"not an answer of HTTP: {type(error).__name__}: {error}"
            raise httpx.RemoteProtocolError(said, request=request) from error
        finally:
            connection.close()
        return httpx.Response(answer.status, headers=answer.getheaders(), content=body, request=request)

    def _body(self, answer: http.client.HTTPResponse) -> bytes:
        if answer.getheader("content-encoding", "identity").lower() != "identity":
            raise ValueError("it is packed, unasked")
        body = bytearray()
        while block := answer.read(BLOCK_BYTES):
            body += block
            if len(body) > self._most_bytes:
                raise ValueError(f"its body is larger than {self._most_bytes} bytes")
        if answer.length:  # read in blocks, it ends without a word
            raise http.client.IncompleteRead(bytes(body[-1:]), answer.length)
        return bytes(body)


class _Connection(http.client.HTTPConnection):
    def __init__(self, host: str, port: int, unix: Path | None, ends_s: float) -> None:
        super().__init__(host, port)
        self._unix = unix
        self._ends_s = ends_s

    def connect(self) -> None:
        """Connect to the first address of the host that takes it."""
        refused: OSError | None = None
        for family, kind, protocol, address in self._addresses():
            near = _DeadlineSocket(family, kind, protocol)
            near.ends_s = self._ends_s
            try:
                near.connect(address)
            except OSError as error:
                near.close()
                refused = error
            else:
                self.sock = near
                return
        raise refused or OSError(f"{self.host}: has no address")

    def _addresses(self) -> list[tuple[int, int, int, Any]]:
        if self._unix is not None:
            return [(socket.AF_UNIX, socket.SOCK_STREAM, 0, str(self._unix))]
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]


class _DeadlineSocket(socket.socket):
    """Whose reads and writes all have to be done at one instant."""

    ends_s = 0.0
    """On the monotonic clock."""

    def connect(self, address: Any) -> None:
        self._hurry()
        super().connect(address)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._hurry()
        super().sendall(data, flags)

    def recv_into(self, *args: Any) -> int:
        self._hurry()
        return super().recv_into(*args)

    def _hurry(self) -> None:
        left_s = self.ends_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self.settimeout(left_s)


async def bounded(
    client: httpx.AsyncClient, request: httpx.Request, *, deadline_s: float, most_bytes: int = MOST_BYTES
) -> tuple[httpx.Response, bytes]:
    """Send a request; return the answer's head, and its whole body as it was sent.

    Args:
        client: that sends it.
        request: of that client.
        deadline_s: that all of it may take.
        most_bytes: a longer answer is an error.

    Raises:
        httpx.TransportError: there was no answer, or it was too late, too large or no HTTP.
    """
    try:
        async with asyncio.timeout(deadline_s):
            answer = await client.send(request, stream=True)
            try:
                body = bytearray()
                async for block in answer.aiter_raw():
                    body += block
                    if len(body) > most_bytes:
                        raise httpx.ReadError(
                            f"the answer is larger than {most_bytes} bytes", request=request
                        )
            finally:
                await answer.aclose()
    except TimeoutError as error:
        raise httpx.ReadTimeout(f"no whole answer within {deadline_s:g} s", request=request) from error
    return answer, bytes(body)
