"""Bedrock's model, with a span for each attempt, and an error for an answer that breaks off.

boto3 blocks a thread for each call. When nobody waits for the answer any more, the socket of the call is
shut down: the thread ends at once, wherever it reads, and the model has one connection less to serve.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from botocore import awsrequest  # type: ignore[import-untyped]  # botocore - untyped
from opentelemetry import propagate, trace
from opentelemetry.trace import Span
from strands.models.bedrock import BedrockModel
from strands.types.streaming import StreamEvent
from typing_extensions import override

from reference_agent.adapters.attempt_spans import end_attempt, note_chunk, record_status, start_attempt
from reference_agent.adapters.errors import MalformedAnswerError


@dataclass(slots=True)
class _Attempts:
    """The HTTP requests of one call; more than one only when botocore's own retries are on."""

    spans: list[Span] = field(default_factory=list)
    connection: Any = None
    ended: bool = False
    given_up: bool = False

    def end(self, error: BaseException | None = None) -> None:
        self.ended = True
        for span in self.spans:
            end_attempt(span, error)

    def give_up(self) -> None:
        """End what a thread still does for this call."""
        self.given_up = True
        connection = self.connection
        # In the pool again, it may be somebody else's by now.
        if connection is not None and connection.call is self and connection.sock is not None:
            with suppress(OSError):  # it is closed already
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


_attempts: ContextVar[_Attempts | None] = ContextVar("_attempts", default=None)


class _Given:
    """A connection that knows which call it was given to."""

    call: _Attempts | None = None

    def request(self, *args: Any, **kwargs: Any) -> Any:
        self.call = call = _attempts.get()
        if call is None:
            return super().request(*args, **kwargs)  # type: ignore[misc]  # botocore - untyped
        call.connection = self
        sent = super().request(*args, **kwargs)  # type: ignore[misc]  # botocore - untyped
        if call.given_up:  # while it connected
            call.give_up()
        return sent


class _HttpConnection(_Given, awsrequest.AWSHTTPConnection):  # type: ignore[misc]  # botocore - untyped
    pass


class _HttpsConnection(_Given, awsrequest.AWSHTTPSConnection):  # type: ignore[misc]  # botocore - untyped
    pass


# urllib3's own way to name the class of a pool's connections.
awsrequest.AWSHTTPConnectionPool.ConnectionCls = _HttpConnection
awsrequest.AWSHTTPSConnectionPool.ConnectionCls = _HttpsConnection


class StrictBedrockModel(BedrockModel):
    """Traces each HTTP request, and raises for an answer that breaks off.

    boto3 is called on a thread; the context of the caller is copied to it, and so the events of
    botocore find the attempts of their own call.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        events = self.client.meta.events
        events.register("before-send.bedrock-runtime", self._sending)
        events.register("response-received.bedrock-runtime", self._received)

    @override
    async def stream(self, *args: Any, **kwargs: Any) -> AsyncGenerator[StreamEvent, None]:
        """Stream an answer.

        Raises:
            MalformedAnswerError: it has no end.
        """
        attempts = _Attempts()
        _attempts.set(attempts)
        end_seen, streaming = False, bool(self.config.get("streaming", True))
        try:
            async with aclosing(super().stream(*args, **kwargs)) as events:
                async for event in events:
                    if streaming and "contentBlockDelta" in event:
                        note_chunk()
                    end_seen = end_seen or "messageStop" in event
                    yield event
            _check_end(seen=end_seen)
        except BaseException as error:
            attempts.end(error)
            attempts.give_up()
            raise
        finally:
            attempts.end()

    @override
    def convert_non_streaming_to_streaming(
        self, response: dict[str, Any], **kwargs: Any
    ) -> Iterable[StreamEvent]:
        """Convert a whole answer; botocore takes a body that breaks off for an empty one."""
        if "output" not in response or "stopReason" not in response:
            raise MalformedAnswerError("the model's answer is empty")
        return super().convert_non_streaming_to_streaming(response, **kwargs)

    def _sending(self, request: Any, **_: Any) -> None:
        attempts = _attempts.get()
        if attempts is None or attempts.ended:
            return
        url = urlsplit(request.url)
        span = start_attempt(request.method, url.hostname or "", url.port, url.path)
        for earlier in attempts.spans:
            end_attempt(earlier)
        attempts.spans.append(span)
        carrier: dict[str, str] = {}
        propagate.inject(carrier, context=trace.set_span_in_context(span))
        for name, value in carrier.items():
            request.headers[name] = value

    def _received(self, response_dict: dict[str, Any] | None = None, **_: Any) -> None:
        attempts = _attempts.get()
        if attempts is None or not attempts.spans or response_dict is None:
            return
        span, status = attempts.spans[-1], int(response_dict["status_code"])
        record_status(span, status)
        if status >= HTTPStatus.BAD_REQUEST:
            end_attempt(span)


def _check_end(*, seen: bool) -> None:
    if not seen:
        raise MalformedAnswerError("the model's answer has no messageStop")
