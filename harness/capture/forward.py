"""Sends a copy of the traces on, such as to Jaeger, without ever holding up the capture."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final

import httpx

from harness.capture.receiver import TRACES, ReceiverStats
from harness.outside.http import bounded

MAX_QUEUED: Final = 512
"""Requests; one that comes when so many wait is counted as failed."""
SENDERS: Final = 2
TIMEOUT_S: Final = 15.0
NONE: Final[Mapping[str, str]] = MappingProxyType({})

Post = Callable[[bytes, dict[str, str]], Awaitable[int]]
"""Sends one body with its headers, and returns the HTTP status of the answer."""


class Forwarder:
    """A bounded queue, and the tasks that empty it.

    Args:
        post: sends one request on; may raise `httpx.HTTPError`.
        stats: counted up here.
        max_queued: requests that may wait.
    """

    def __init__(self, post: Post, stats: ReceiverStats, *, max_queued: int = MAX_QUEUED) -> None:
        self._post = post
        self._stats = stats
        self._queue: asyncio.Queue[tuple[bytes, dict[str, str]]] = asyncio.Queue(max_queued)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to send; needs a running event loop."""
        self._tasks = [asyncio.create_task(self._send_on()) for _ in range(SENDERS)]

    def offer(self, body: bytes, headers: dict[str, str]) -> None:
        """Take a request to be sent on; a full queue counts it as failed."""
        try:
            self._queue.put_nowait((body, headers))
        except asyncio.QueueFull:
            self._stats.forward_failed += 1

    async def close(self, grace_s: float) -> None:
        """Send what waits, for `grace_s` at most; the rest counts as failed."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._queue.join(), grace_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._stats.forward_failed += self._queue.qsize()

    async def _send_on(self) -> None:
        while True:
            body, headers = await self._queue.get()
            accepted = False
            try:
                accepted = await self._post(body, headers) < httpx.codes.BAD_REQUEST
            except httpx.HTTPError:
                pass  # counted below; the capture goes on without the copy
            finally:
                self._stats.forwarded += accepted
                self._stats.forward_failed += not accepted
                self._queue.task_done()


def post_to(client: httpx.AsyncClient, base_url: str, more: Mapping[str, str] = NONE) -> Post:
    """Return what posts to an OTLP/HTTP receiver.

    Args:
        client: that sends.
        base_url: of the receiver.
        more: headers that it asks for, such as a token.
    """
    url = base_url.rstrip("/") + TRACES

    async def post(body: bytes, headers: dict[str, str]) -> int:
        request = client.build_request("POST", url, content=body, headers={**more, **headers})
        answer, _ = await bounded(client, request, deadline_s=TIMEOUT_S)
        return answer.status_code

    return post
