"""The HTTP transport under the OpenAI client: a span for each attempt, and one connection reused.

Three things that an ordinary transport doesn't do:

- every request that really leaves is a CLIENT span below the logical model call, also one that an
  SDK resends by itself, and carries that span's `traceparent`;
- a streamed answer is read to its end after `[DONE]`: the SDK stops reading there, and the
  connection could not be used again;
- a success that is neither JSON nor a stream of events (some proxy's page) is an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
from opentelemetry import propagate, trace
from opentelemetry.trace import Span

from reference_agent.adapters.attempt_spans import end_attempt, record_status, start_attempt

DRAIN_S = 1.0
"""Longest wait for the rest of a stream after its last event; then the connection is given up."""
DONE = b"data: [DONE]"
CONTENT_TYPES = ("json", "event-stream")


class TracedTransport(httpx.AsyncBaseTransport):
    """Wraps a transport; the module's docstring says what it adds.

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
            record_status(span, response.status_code)
            body = await _checked_body(response)
        except BaseException as error:
            end_attempt(span, error)
            raise
        response.stream = _Body(body, span)
        return response

    async def aclose(self) -> None:
        """Close the wrapped transport."""
        await self._inner.aclose()


async def _checked_body(response: httpx.Response) -> httpx.AsyncByteStream:
    """Return the answer's body.

    Raises:
        httpx.RemoteProtocolError: a success of a content type that no model sends.
    """
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("the inner transport gave a stream that is not asynchronous")
    content_type = response.headers.get("content-type", "").lower()
    if response.is_success and not any(known in content_type for known in CONTENT_TYPES):
        await response.stream.aclose()
        raise httpx.RemoteProtocolError(
            f"the answer's content type is {content_type or 'missing'}; a model's is JSON or an event stream"
        )
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
