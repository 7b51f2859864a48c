"""The HTTP transport under the OpenAI client: an honest span per attempt, and one connection reused.

Three things that an ordinary transport doesn't do:

- every request that really leaves is a CLIENT span below the logical model call, also one that an
  SDK resends behind our back, and carries that span's `traceparent`;
- a streamed answer is read to its end after `[DONE]`: the SDK stops reading there, and the
  connection could not be used again;
- a success that is neither JSON nor a stream of events (some proxy's page) is an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass

import httpx
from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

DRAIN_S = 0.25
"""Longest wait for the rest of a stream after its last event; then the connection is given up."""
DONE = b"data: [DONE]"
ANSWERS = ("json", "event-stream")
ERROR_FROM = 400
_tracer = trace.get_tracer("reference_agent.http")


@dataclass(slots=True)
class ModelCall:
    """The logical model call that is under way: its span, and how often it was sent."""

    span: Span
    sent: int = 0


current_call: ContextVar[ModelCall | None] = ContextVar("current_call", default=None)


class TracedTransport(httpx.AsyncBaseTransport):
    """Wraps a transport; see the module's page.

    Args:
        inner: what really sends.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request inside a span of its own, which ends with the answer's body."""
        url = request.url
        span = start_attempt(request.method, url.host, url.port, url.path)
        propagate.inject(request.headers, context=trace.set_span_in_context(span))
        try:
            response = await self._inner.handle_async_request(request)
            note_status(span, response.status_code)
            body = await _answer_of(response)
        except BaseException as error:
            end_attempt(span, error)
            raise
        response.stream = _Body(body, span)
        return response

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._inner.aclose()


async def _answer_of(response: httpx.Response) -> httpx.AsyncByteStream:
    """Return the answer's body.

    Raises:
        httpx.RemoteProtocolError: a success of a kind that no model gives.
    """
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("the inner transport gave a stream that is not asynchronous")
    kind = response.headers.get("content-type", "")
    if response.is_success and not any(answer in kind for answer in ANSWERS):
        await response.stream.aclose()
        raise httpx.RemoteProtocolError(f"the answer is {kind or 'of no type'}, no model's")
    return response.stream


class _Body(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, span: Span) -> None:
        self._inner = inner
        self._chunks = inner.__aiter__()
        self._span = span
        self._tail = b""
        self._ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                self._tail = (self._tail + chunk)[-2 * len(DONE) :] if DONE not in chunk else DONE
                yield chunk
        except Exception as error:
            end_attempt(self._span, error)
            raise
        self._ended = True

    async def aclose(self) -> None:
        try:
            if not self._ended and DONE in self._tail:
                await self._drain()
        finally:
            await self._inner.aclose()
            end_attempt(self._span)

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(DRAIN_S):
                async for _ in self._chunks:
                    pass
        except (TimeoutError, httpx.HTTPError):
            return  # the answer is whole; only the connection is lost


def start_attempt(method: str, host: str, port: int | None, path: str) -> Span:
    """Begin the span of one HTTP request of the model call that is under way."""
    call = current_call.get()
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "server.address": host,
        "url.path": path,
    }
    if port is not None:
        attributes["server.port"] = port
    context = None
    if call is not None:
        context = trace.set_span_in_context(call.span)
        if call.sent:
            attributes["http.request.resend_count"] = call.sent
        call.sent += 1
    return _tracer.start_span(method, context=context, kind=SpanKind.CLIENT, attributes=attributes)


def note_status(span: Span, status: int) -> None:
    """Put an answer's HTTP status on the span of its attempt."""
    span.set_attribute("http.response.status_code", status)
    if status >= ERROR_FROM:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))


def end_attempt(span: Span, error: BaseException | None = None) -> None:
    """End an attempt's span; a second call changes nothing."""
    if not span.is_recording():
        return
    if error is not None:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
