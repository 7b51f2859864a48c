"""Makes calls for Locust: one connection pool, one row a call, timed from when the call was due."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import gevent
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError, HTTPResponse

from harness.contract import UPSTREAM_HEADER
from harness.load.identity import Identity, identify
from harness.load.job import DEFAULT_SHAPE, request_body
from harness.load.response import Failure, failure_of, recalled_in
from harness.records.sent import Arrival, RequestRow
from harness.under_test import RequestShape, with_environment

SPARE_S = 5.0
"""Sockets wait so much longer than a call may take, so that the call's own deadline comes first."""


class SteadyClock:
    """Unix time that never jumps: the time of day read once, moved on by a monotonic clock."""

    def __init__(self) -> None:
        """Take the time of day now."""
        self._origin_s = time.time() - time.perf_counter()

    def now(self) -> float:
        """Return Unix time in seconds."""
        return self._origin_s + time.perf_counter()


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
        connections: how many calls may be under way at once.
        shape: how a request looks, and its answer.
        record: gets the row of each call as it ends.
        event: Locust's `request` event; its response time counts from when the call was due.
        now: Unix seconds, steady.
    """

    def __init__(
        self,
        host: str,
        *,
        labels: Labels,
        timeout_s: float,
        connections: int,
        shape: RequestShape = DEFAULT_SHAPE,
        record: Callable[[RequestRow], None],
        event: RequestEvent,
        now: Callable[[], float],
    ) -> None:
        self._client = HTTPClient.from_url(
            host,
            concurrency=connections,
            connection_timeout=timeout_s + SPARE_S,
            network_timeout=timeout_s + SPARE_S,
        )
        self._path = urlsplit(host).path.rstrip("/") + shape.path
        self._url = host.rstrip("/") + shape.path
        self._shape = shape
        self._more = {name: with_environment(value, os.environ) for name, value in shape.headers.items()}
        self._labels = labels
        self._timeout_s = timeout_s
        self._record = record
        self._event = event
        self._now = now

    def call(self, arrival: Arrival, due_s: float) -> None:
        """Send `arrival`, which was due at the Unix time `due_s`; return when it was answered or failed."""
        labels = self._labels
        identity = identify(labels.run_id, labels.experiment, labels.arm, arrival.index)
        sent_s = self._now()
        answer = self._exchange(arrival, identity)
        end_s = self._now()
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
            error=answer.failure.error if answer.failure else None,
            error_type=answer.failure.error_type if answer.failure else None,
            upstream=answer.upstream,
            body_bytes=answer.body_bytes,
            canary=arrival.canary,
            recalled=answer.recalled,
        )
        self._record(row)
        self._tell_locust(row)

    def _exchange(self, arrival: Arrival, identity: Identity) -> CallResult:
        try:
            with gevent.Timeout(self._timeout_s):
                response = self._client.request(
                    "POST",
                    self._path,
                    body=request_body(arrival, self._shape.prompt_field),
                    headers=_headers(arrival, identity, self._shape) | self._more,
                )
                return _answer(response, bytes(response.read()), self._shape.answer_field)
        except gevent.Timeout:
            failure = Failure(f"no answer within {self._timeout_s:g} s", "timeout")
        except (OSError, HTTPParseError) as error:
            failure = Failure(str(error) or type(error).__name__, type(error).__name__)
        return CallResult(status=0, failure=failure)

    def _tell_locust(self, row: RequestRow) -> None:
        self._event.fire(
            request_type="POST",
            name=self._shape.path,
            response_time=row.latency_s * 1000,
            response_length=row.body_bytes,
            exception=None if row.error is None else CallError(row.error),
            context={"row": row},
            start_time=row.due_s,
            url=self._url,
        )


class CallError(Exception):
    """A call that did not get what it asked for, as Locust's error table shows it."""


def _headers(arrival: Arrival, identity: Identity, shape: RequestShape) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "traceparent": identity.traceparent,
        shape.session_header: arrival.session_id,
        shape.request_header: identity.request_id,
    }
    headers.pop("", None)
    return headers


def _answer(response: HTTPResponse, body: bytes, answer_field: str) -> CallResult:
    kind = str(response.get("content-type") or "")
    return CallResult(
        status=response.status_code,
        failure=failure_of(response.status_code, kind, body, answer_field),
        upstream=_one(response.get(UPSTREAM_HEADER)),
        body_bytes=len(body),
        recalled=recalled_in(body),
    )


def _one(value: str | list[str] | None) -> str | None:
    return value[-1] if isinstance(value, list) else value
