"""Makes calls for Locust: one connection pool, one row a call, timed from when the call was due."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import gevent

from harness.asking.answer import Answer, AnswerReader, Failure
from harness.asking.request import asked, headers_of
from harness.contract import UPSTREAM_HEADER
from harness.load.identity import Identity, identify
from harness.load.job import DEFAULT_SHAPE
from harness.load.opening import Openings
from harness.load.reply import Reply
from harness.load.service import Service
from harness.outside.secrets import hidden
from harness.records.sent import Arrival, RequestRow
from harness.under_test import HttpRequest, RequestShape, with_environment

UPSTREAM_NAME = UPSTREAM_HEADER.encode()


class SteadyClock:
    """Unix time that never jumps: the time of day read once, moved on by a monotonic clock."""

    def __init__(self) -> None:
        """Take the time of day now."""
        self._origin_s = time.time() - time.monotonic()

    def now(self) -> float:
        """Return Unix time in seconds."""
        return self._origin_s + time.monotonic()

    def agree(self, unix_s: float, monotonic_s: float) -> None:
        """Take another's time of day, which is said for an instant of the machine's monotonic clock."""
        self._origin_s = unix_s - monotonic_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What all rows of a load have in common."""

    run_id: str
    experiment: str
    arm: str


@dataclass(frozen=True, slots=True)
class CallResult:
    """What came back: `status` 0 when nothing did."""

    status: int
    failure: Failure | None
    upstream: str | None = None
    body_bytes: int = 0
    recalled: tuple[str, ...] = ()
    first_byte_s: float | None = None
    first_token_s: float | None = None
    left: bool = False
    answer_chars: int | None = None


class RequestEvent(Protocol):
    """Locust's `request` event."""

    def fire(self, **about: object) -> None:
        """Tell all listeners about a request."""
        ...


class Caller:
    """Calls the agent.

    Args:
        host: base URL.
        labels: what the rows are marked with.
        timeout_s: a call that takes longer is given up.
        shape: how a request looks, and its answer.
        record: gets the row of each call as it ends.
        event: Locust's `request` event, None to leave Locust's own statistics out; its response time
            counts from when the call was due.
        now: Unix seconds, steady.

    Raises:
        ValueError: a header of `shape` can't be sent.
    """

    def __init__(
        self,
        host: str,
        *,
        labels: Labels,
        timeout_s: float,
        shape: RequestShape = DEFAULT_SHAPE,
        record: Callable[[RequestRow], None],
        event: RequestEvent | None,
        now: Callable[[], float],
    ) -> None:
        self._service = _service(host, shape, shape.request, now)
        opening = shape.opening
        self._openings = None
        if opening is not None:
            self._openings = Openings(_service(host, shape, opening.request, now), opening, timeout_s)
        self._reader = AnswerReader.of(shape)
        self._url = host.rstrip("/") + shape.request.path
        self._shape = shape
        self._labels = labels
        self._prepared: dict[int, tuple[Identity, bytes]] = {}
        self._timeout_s = timeout_s
        self._record = record
        self._event = event
        self._now = now

    def prepare(self, arrival: Arrival) -> None:
        """Put the request of `arrival` together before it is due: it takes a fraction of the time then.

        A session that has to be opened is opened now: that is no part of what its first turn takes.
        """
        if self._openings is not None and self._openings.given_up:
            return  # each would take its time: they fail when they are due
        with suppress(ValueError):  # what can't be put together fails in its call, and so has a row
            identity = self._identify(arrival)
            self._prepared[arrival.index] = identity, self._request(arrival, identity)

    def call(self, arrival: Arrival, due_s: float) -> None:
        """Send `arrival`, which was due at the Unix time `due_s`; return when it was answered or failed."""
        labels = self._labels
        identity, request = self._prepared.pop(arrival.index, None) or (self._identify(arrival), None)
        sent_s = self._now()
        answer = self._exchange(arrival, identity, request)
        end_s = self._now()
        failure = answer.failure
        row = RequestRow(
            experiment=labels.experiment,
            arm=labels.arm,
            index=arrival.index,
            phase=arrival.phase,
            session_id=arrival.session_id,
            request_id=identity.request_id,
            trace_id=identity.trace_id,
            span_id=identity.span_id,
            due_s=due_s,
            sent_s=sent_s,
            end_s=end_s,
            status=answer.status,
            error=hidden(failure.error) if failure else None,
            error_type=failure.error_type and hidden(failure.error_type) if failure else None,
            upstream=answer.upstream,
            body_bytes=answer.body_bytes,
            canary=arrival.canary,
            recalled=answer.recalled,
            first_byte_s=answer.first_byte_s,
            first_token_s=answer.first_token_s,
            left=answer.left,
            answer_chars=answer.answer_chars,
        )
        self._record(row)
        if self._event is not None:
            self._tell_locust(row, self._event)

    def _identify(self, arrival: Arrival) -> Identity:
        return identify(self._labels.run_id, self._labels.experiment, self._labels.arm, arrival.index)

    def _request(self, arrival: Arrival, identity: Identity) -> bytes:
        """Raises `ValueError` where the session could not be opened, or something can't be sent."""
        session = arrival.session_id
        if self._openings is not None:
            session = self._openings.session(arrival.session_id, identity)
        values = {"prompt": arrival.prompt, "session": session, "request": identity.request_id}
        made = asked(self._shape.request, values)
        return self._service.request(
            made.target, made.body, identity.traceparent, session, identity.request_id
        )

    def _exchange(self, arrival: Arrival, identity: Identity, request: bytes | None) -> CallResult:
        try:
            with gevent.Timeout(self._timeout_s):
                reply = self._service.send(request or self._request(arrival, identity), leave=arrival.leaves)
        except gevent.Timeout:
            return CallResult(status=0, failure=Failure(f"no answer within {self._timeout_s:g} s", "timeout"))
        except Exception as error:  # noqa: BLE001 - whatever becomes of a call, it has to end as a row
            return CallResult(status=0, failure=_failure(error))
        return _answer(reply, self._reader)

    def _tell_locust(self, row: RequestRow, event: RequestEvent) -> None:
        event.fire(
            request_type=self._shape.request.method,
            name=self._shape.request.path,
            response_time=row.latency_s * 1000,
            response_length=row.body_bytes,
            exception=None if row.error is None else CallError(row.error),
            context={"row": row},
            start_time=row.due_s,
            url=self._url,
        )


class CallError(Exception):
    """A call that did not get what it asked for, as Locust's error table shows it."""


def _service(host: str, shape: RequestShape, request: HttpRequest, now: Callable[[], float]) -> Service:
    """Return what sends one kind of request."""
    headers = headers_of(shape, request)
    return Service(
        host,
        request.method,
        varying=("traceparent", shape.session_header, shape.request_header),
        headers={name: with_environment(value, os.environ) for name, value in headers.items()},
        now=now,
    )


def _answer(reply: Reply, reader: AnswerReader) -> CallResult:
    body = reply.body
    if reply.left:
        return CallResult(
            status=reply.status,
            failure=Failure("its reader left, as planned", "left"),
            upstream=reply.header(UPSTREAM_NAME),
            body_bytes=len(body),
            first_byte_s=reply.first_byte_s,
            left=True,
        )
    try:
        answer = reader.read(reply.status, reply.header(b"content-type") or "", body)
    except Exception as error:  # noqa: BLE001 - JSON that is nested too deeply, and what else may be in there
        answer = Answer(failure=_failure(error), text="", recalled=(), first_token_end=None)
    end = answer.first_token_end
    return CallResult(
        status=reply.status,
        failure=answer.failure,
        upstream=reply.header(UPSTREAM_NAME),
        body_bytes=len(body),
        recalled=answer.recalled,
        first_byte_s=reply.first_byte_s,
        first_token_s=None if end is None else reply.time_of(end),
        answer_chars=None if answer.failure else len(answer.text),
    )


def _failure(error: Exception) -> Failure:
    return Failure(str(error) or type(error).__name__, type(error).__name__)
