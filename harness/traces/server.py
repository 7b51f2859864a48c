"""Serves the pages on loopback: to this machine alone, and to no page of somebody else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qs

import uvicorn

from harness.outside.bounded_http import BoundedHttp
from harness.outside.strangers import refusal_to_read
from harness.traces.pages import TEXT, Page, Pages

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
LOOPBACK: Final = "127.0.0.1"
POLICY: Final = (
    b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    b"frame-ancestors 'none'"
)
ENDS_WITHIN_S: Final = 5.0
MOST_FIELDS: Final = 50


class TracesApp:
    """The pages as an ASGI application.

    Args:
        pages: what is answered.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._one_at_a_time = threading.Lock()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        page = self._answer(scope)
        headers = [
            (b"content-type", page.kind.encode()),
            (b"content-security-policy", POLICY),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
            (b"referrer-policy", b"no-referrer"),
        ]
        await send({"type": "http.response.start", "status": page.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else page.text.encode(errors="replace")
        await send({"type": "http.response.body", "body": body})

    def _answer(self, scope: Scope) -> Page:
        if (why := refusal_to_read(scope)) is not None:
            return Page(403, TEXT, f"{why}\n")
        if scope["method"] not in {"GET", "HEAD"}:
            return Page(405, TEXT, "these pages are only read\n")
        try:
            fields = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=MOST_FIELDS)
        except ValueError:
            return Page(400, TEXT, f"a search has {MOST_FIELDS} fields at most\n")
        with self._one_at_a_time:
            return self._pages.answer(scope["path"], fields)


def listen(port: int = 0) -> socket.socket:
    """Return a socket on loopback; port 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    return socket.create_server((LOOPBACK, port))


def url_of(listening: socket.socket) -> str:
    """Return the address of what is served there."""
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}"


def server(pages: Pages) -> uvicorn.Server:
    """Return what serves the pages."""
    config = uvicorn.Config(
        TracesApp(pages),
        http=BoundedHttp,
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


@contextmanager
def serving(pages: Pages, listening: socket.socket) -> Iterator[str]:
    """Serve the pages beside whatever else is done, and yield their address."""
    it = server(pages)
    thread = threading.Thread(target=it.run, args=([listening],), name="traces", daemon=True)
    thread.start()
    try:
        yield url_of(listening)
    finally:
        it.should_exit = True
        thread.join(ENDS_WITHIN_S)
