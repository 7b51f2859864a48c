"""A small server of HTTP beside what this process does: the page of metrics, and the receiver of spans."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import uvicorn

from harness.capture.receiver import Receive, Scope, Send
from harness.errors import InputError, StartError
from harness.outside.bounded_http import BoundedHttp
from harness.outside.strangers import refusal_to_read

App = Callable[[Scope, Receive, Send], Awaitable[None]]
STOPPED_S: Final = 5.0
CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"


def address_of(word: str, option: str) -> tuple[str, int]:
    """Return the host and the port of `HOST:PORT`.

    Args:
        word: that was given.
        option: whose, for the message.

    Raises:
        InputError: it is none.
    """
    try:
        parts = urlsplit(f"//{word}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.path or parts.query:
        raise InputError(f"{option} {word}: is no address. Give HOST:PORT, such as 127.0.0.1:9464.")
    return host, port


@contextmanager
def served(app: App, host: str, port: int, http: type[Any] = BoundedHttp) -> Iterator[None]:
    """Serve within the block.

    Args:
        app: what answers.
        host: to listen at.
        port: likewise.
        http: the protocol of a connection.

    Raises:
        StartError: the port can't be had.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise StartError(
            f"{host}:{port}: cannot be listened at: {error.strerror or error}. Give another one, or stop "
            "what has it."
        ) from error
    with listening:
        config = uvicorn.Config(
            app,
            http=http,
            lifespan="off",
            ws="none",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=int(STOPPED_S),
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(2 * STOPPED_S)


def page(text: Callable[[], bytes]) -> App:
    """Return what answers `GET /metrics`, but to no page of somebody else.

    Args:
        text: of the page.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        if (why := refusal_to_read(scope)) is not None:
            status, body = 403, f"{why}\n".encode()
        elif (scope["method"], scope["path"]) != ("GET", "/metrics"):
            status, body = 404, b"GET /metrics\n"
        else:
            status, body = 200, text()
        headers = [(b"content-type", CONTENT_TYPE), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer
