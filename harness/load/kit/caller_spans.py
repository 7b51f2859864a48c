"""Sends the callers' spans on while a test lasts: the roots of the traces, which nobody else has."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import httpx

from harness.load.spans import NAMELESS, client_spans
from harness.outside.http import control_client
from harness.records.sent import RequestRow

EVERY_S: Final = 1.0
BATCH: Final = 512
"""Spans of one message."""
MOST_WAITING: Final = 20_000
"""Spans; the oldest of more is dropped, so that a receiver that hangs costs no memory."""
TIMEOUT_S: Final = 5.0
HEADERS: Final = {"content-type": "application/x-protobuf"}
Post = Callable[[bytes], None]
log = logging.getLogger("agentrig.load")


class CallerSpans:
    """Gathers the calls that ended, and sends a span of each in batches.

    Args:
        post: sends one OTLP message; may raise `httpx.HTTPError`.
        containers: their names, by their addresses.
    """

    def __init__(self, post: Post, containers: Mapping[str, str] = NAMELESS) -> None:
        self._post = post
        self._containers = containers
        self._waiting: deque[RequestRow] = deque(maxlen=MOST_WAITING)
        self._warned = False

    def add(self, row: RequestRow) -> None:
        """Take a call that ended; never waits."""
        self._waiting.append(row)

    def run(self, over: Callable[[float], bool]) -> None:
        """Send what comes.

        Args:
            over: waits so many seconds without holding up the calls; says whether this is the end.
        """
        while not over(EVERY_S):
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Send what waits; a batch that the receiver does not take is lost, which is logged once."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                self._post(client_spans(batch, self._containers))
            except httpx.HTTPError as error:
                if not self._warned:
                    log.warning("the callers' spans are not taken: %s. Traces lack their roots.", error)
                self._warned = True


def post_to(base_url: str) -> Post:
    """Return what posts to the OTLP/HTTP receiver at `base_url`."""
    client = control_client(TIMEOUT_S, headers=HEADERS)
    url = base_url.rstrip("/") + "/v1/traces"

    def post(body: bytes) -> None:
        client.post(url, content=body).raise_for_status()

    return post
