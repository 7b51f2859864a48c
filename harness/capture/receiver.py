"""The OTLP/HTTP receiver, as a bare ASGI application: check, append, answer.

Nothing is flattened while a run lasts: a body is only parsed, at about a million spans a
second, so that no sender's damage is found out when the run is over. What is refused is
refused with a 4xx that says why; when the disk is full the sender gets a 503, which OTLP
exporters retry.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf - has no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from harness.capture.flatten import left_out
from harness.capture.frames import Encoding
from harness.capture.normal import regular
from harness.clock import Clock
from harness.outside.strangers import refusal, refusal_to_read
from harness.outside.text import parse_json

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""Of one request, as sent and with gzip undone: parsed, it takes some fifty times as much memory at worst."""
MOST_AT_ONCE: Final = 8
"""Times that, which all requests may hold together that are on their way."""
BODY_S: Final = 30.0
"""How long one may take to come."""
TRACES: Final = "/v1/traces"
METRICS: Final = "/v1/metrics"
ENCODINGS: Final = {"application/x-protobuf": Encoding.PROTOBUF, "application/json": Encoding.JSON}
CONTENT_TYPES: Final = {encoding: name for name, encoding in ENCODINGS.items()}
PARSERS: Final[dict[str, Callable[[bytes], object]]] = {
    TRACES: ExportTraceServiceRequest.FromString,
    METRICS: ExportMetricsServiceRequest.FromString,
}
REJECTED: Final = "a span needs a trace id, a span id, a begin and an end"
FROM_PAGES: Final = {"origin", "sec-fetch-site"}
"""Headers of browsers: other senders may call this receiver as they like."""
GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
"""Tells zlib to expect gzip's head and check sum."""


@dataclass(slots=True)
class ReceiverStats:
    """What the capture did so far: the answer of `/stats`.

    Attributes:
        requests: taken in, and in the file.
        bytes: of their payloads.
        refused: answered with 4xx or 503.
        refused_traces: those of them that would have brought traces.
        rejected_spans: of requests that were taken in; they have no id, begin or end.
        forwarded: sent on and accepted there.
        forward_failed: not sent on: refused, unreachable, or the queue was full.
    """

    requests: int = 0
    bytes: int = 0
    refused: int = 0
    refused_traces: int = 0
    rejected_spans: int = 0
    forwarded: int = 0
    forward_failed: int = 0


class SpanSink(Protocol):
    """Where a copy of the traces goes."""

    def offer(self, body: bytes, headers: dict[str, str]) -> None:
        """Take a request to be sent on; never waits."""
        ...


class FrameSink(Protocol):
    """Where what is taken in is kept."""

    def append(self, time_s: float, encoding: Encoding, payload: bytes) -> None:
        """Keep a request.

        Raises:
            OSError: it can't be kept.
        """
        ...


class RefusedError(Exception):
    """A request that is not taken in.

    Args:
        status: the HTTP status to answer with.
        message: what is wrong with it, for the sender.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Receiver:
    """Takes OTLP in and keeps it.

    Args:
        traces, metrics: what keeps them, such as files.
        clock: says when a request came.
        stats: counted up here.
        onward: gets a copy of each request with traces, None for nobody.
        max_body_bytes: larger requests are refused.
    """

    def __init__(
        self,
        traces: FrameSink,
        metrics: FrameSink,
        *,
        clock: Clock,
        stats: ReceiverStats,
        onward: SpanSink | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._files = {TRACES: traces, METRICS: metrics}
        self._clock = clock
        self._stats = stats
        self._onward = onward
        self._max_body_bytes = max_body_bytes
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        path, method = scope["path"], scope["method"]
        if (method, path) == ("GET", "/healthz"):
            await _answer(send, 200, "text/plain", b"ok\n")
        elif (method, path) == ("GET", "/stats"):
            if (why := refusal_to_read(scope)) is not None:
                await _answer(send, 403, "text/plain; charset=utf-8", f"{why}\n".encode())
            else:
                await _answer(send, 200, "application/json", json.dumps(asdict(self._stats)).encode())
        else:
            await self._answer_otlp(scope, receive, send)

    async def _answer_otlp(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            encoding, rejected = await self._take_in(scope, receive)
        except RefusedError as refused:
            self._stats.refused += 1
            self._stats.refused_traces += (scope["method"], scope["path"]) == ("POST", TRACES)
            await _answer(send, refused.status, "text/plain; charset=utf-8", f"{refused}\n".encode())
        else:
            self._stats.rejected_spans += rejected
            await _answer(send, 200, CONTENT_TYPES[encoding], accepted(encoding, rejected))

    async def _take_in(self, scope: Scope, receive: Receive) -> tuple[Encoding, int]:
        """Take one request in; return how it is written, and how many of its spans are none."""
        if scope["path"] not in self._files:
            raise RefusedError(404, f"nothing is received here; send to {TRACES} or {METRICS}")
        if scope["method"] != "POST":
            raise RefusedError(405, "only POST is received here")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if FROM_PAGES & headers.keys() and (why := refusal("POST", scope["path"], headers)) is not None:
            raise RefusedError(403, why)
        content_type = headers.get("content-type", "")
        encoding = ENCODINGS.get(content_type.partition(";")[0].strip().lower())
        if encoding is None:
            raise RefusedError(415, f"content-type {content_type!r}: send {' or '.join(ENCODINGS)}")
        compression = headers.get("content-encoding", "identity").strip().lower()
        if compression not in {"identity", "gzip"}:
            raise RefusedError(415, f"content-encoding {compression!r}: send gzip or none")
        body = await self._read(receive)
        payload = _gunzip(body, self._max_body_bytes) if compression == "gzip" else body
        rejected = self.take(scope["path"], encoding, payload)
        if self._onward and scope["path"] == TRACES:
            kept = {"content-type": content_type}
            self._onward.offer(body, kept | ({"content-encoding": "gzip"} if compression == "gzip" else {}))
        return encoding, rejected

    def take(self, path: str, encoding: Encoding, payload: bytes) -> int:
        """Keep a request, and return how many of its spans are none.

        Args:
            path: TRACES or METRICS: what it has.
            encoding: how it is written.
            payload: the request.

        Raises:
            RefusedError: it is none, or can't be kept.
        """
        rejected = _check(path, encoding, payload)
        try:
            self._files[path].append(self._clock.now(), encoding, payload)
        except OSError as error:
            raise RefusedError(503, f"cannot be stored: {error.strerror}") from error
        self._stats.requests += 1
        self._stats.bytes += len(payload)
        return rejected

    async def _read(self, receive: Receive) -> bytes:
        body, more = bytearray(), True
        try:
            async with asyncio.timeout(BODY_S):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedError(400, "the sender hung up before the end of the body")
                    part = message.get("body", b"")
                    body += part
                    self._held_bytes += len(part)
                    if len(body) > self._max_body_bytes:
                        raise RefusedError(413, f"the body is larger than {self._max_body_bytes} bytes")
                    if self._held_bytes > MOST_AT_ONCE * self._max_body_bytes:
                        raise RefusedError(503, "too many requests are on their way: send it again")
                    more = message.get("more_body", False)
        except TimeoutError as error:
            raise RefusedError(408, f"the body took more than {BODY_S:g} s") from error
        finally:
            self._held_bytes -= len(body)
        return bytes(body)


def _check(path: str, encoding: Encoding, payload: bytes) -> int:
    """Return how many spans of a request are none."""
    try:
        if encoding is Encoding.PROTOBUF:
            request = PARSERS[path](payload)
            return left_out(request) if isinstance(request, ExportTraceServiceRequest) else 0
        said = parse_json(payload)
    except (DecodeError, ValueError) as error:
        raise RefusedError(400, f"the body is not what its content-type says: {error}") from error
    if not isinstance(said, dict):
        raise RefusedError(400, "the body is not a JSON object")
    return regular(said)[1] if path == TRACES else 0


def accepted(encoding: Encoding, rejected: int) -> bytes:
    """Write the answer to a request that was taken in."""
    if encoding is Encoding.JSON:
        said = {"rejectedSpans": str(rejected), "errorMessage": REJECTED}
        return json.dumps({"partialSuccess": said} if rejected else {}).encode()
    answer = ExportTraceServiceResponse()
    if rejected:
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = REJECTED
    return bytes(answer.SerializeToString())


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    """Undo gzip, which may be several one after the other."""
    payload = b""
    while True:
        gzip = zlib.decompressobj(wbits=GZIP_WINDOW)
        try:
            payload += gzip.decompress(body, max_bytes + 1 - len(payload))
        except zlib.error as error:
            raise RefusedError(
                400, f"the body is not the gzip that its content-encoding says: {error}"
            ) from error
        if len(payload) > max_bytes:
            raise RefusedError(413, f"the body is larger than {max_bytes} bytes with its gzip undone")
        if not gzip.eof:
            raise RefusedError(400, "the body's gzip is cut off")
        body = gzip.unused_data
        if not body:
            return payload


async def _answer(send: Send, status: int, content_type: str, body: bytes) -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
