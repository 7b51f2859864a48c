"""One CLIENT span for each HTTP request of a model call, below the span of the logical call."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

_tracer = trace.get_tracer("reference_agent.http")


@dataclass(slots=True)
class ModelCall:
    """The logical model call that is under way.

    Attributes:
        span: its span.
        clock: seconds since any origin.
        sent: how often it was sent.
        first_chunk_s: when the first part of the answer came, by the clock.
    """

    span: Span
    clock: Callable[[], float] = time.monotonic
    sent: int = 0
    first_chunk_s: float | None = None


current_call: ContextVar[ModelCall | None] = ContextVar("current_call", default=None)


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
    context, name = None, f"{method} {path}"
    if call is not None:
        context = trace.set_span_in_context(call.span)
        if call.sent:
            attributes["http.request.resend_count"] = call.sent
            name = f"{name} (attempt {call.sent + 1})"
        call.sent += 1
    return _tracer.start_span(name, context=context, kind=SpanKind.CLIENT, attributes=attributes)


def note_chunk() -> None:
    """Note when the first part of a streamed answer comes."""
    call = current_call.get()
    if call is not None and call.first_chunk_s is None:
        call.first_chunk_s = call.clock()


def record_status(span: Span, status: int) -> None:
    """Put an answer's HTTP status on the span of its attempt."""
    span.set_attribute("http.response.status_code", status)
    if status >= HTTPStatus.BAD_REQUEST:
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
