"""Containers that are warmed, restored as copies of one snapshot, and asked for the first time after that."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import httpx

from harness.asking.answer import AnswerReader
from harness.asking.request import asked, headers_of
from harness.clock import Clock
from harness.contract import PING
from harness.fleet.protocol import Fleet
from harness.outside.http import control_client
from harness.outside.text import parse_json, whole_number
from harness.records.setup import Container
from harness.records.weather import RestoredCopy
from harness.run.direct import DirectCaller
from harness.under_test import RequestShape, with_environment

WARMING: Final = 2
"""Requests with a session to each container before the snapshot, and one without: it has its clients, and
connections in its pools."""
BARE: Final = 3
"""Requests to each container beside the first that bring no id at all: it makes them itself."""
TIMEOUT_S: Final = 60.0
SESSION_KEYS: Final = ("session_id", "sessionId")


def restore(fleet: Fleet, shape: RequestShape, clock: Clock, *, limit: int) -> tuple[RestoredCopy, ...]:
    """Warm the containers of a fleet, restore them, and ask each several things, all together.

    Args:
        fleet: that is up, and gets no load yet.
        shape: how it is asked.
        clock: says what time it is.
        limit: requests that one container may work on at once.

    Returns:
        What was seen of each.
    """
    with ThreadPoolExecutor(len(fleet.containers)) as pool:
        answered = list(pool.map(lambda container: _warm(container, shape), fleet.containers))
        restored_s, hooked = fleet.restore()
        firsts = [
            _First(container, shape, clock, limit, answers_bare=bare)
            for container, bare in zip(fleet.containers, answered, strict=True)
        ]
        return tuple(pool.map(lambda first: first.asked(restored_s, hooked), firsts))


def _warm(container: Container, shape: RequestShape) -> bool:
    """Ask a container; return whether it answers requests that bring no ids: not every agent does."""
    asking = _Asking(shape)
    with DirectCaller(container.reached_at, shape, timeout_s=TIMEOUT_S) as caller:
        for _ in range(WARMING):
            caller.ask(_prompt(), caller.open(secrets.token_hex(20)))
    with control_client(TIMEOUT_S, base_url=f"http://{container.reached_at}") as http:
        return asking.error_of(asking.ask(http)) is None


def _prompt() -> str:
    return f"What is {secrets.token_hex(4)}?"


class _Asking:
    """Requests with the ids that they are given, and without those that they are not."""

    def __init__(self, shape: RequestShape) -> None:
        self._shape = shape
        self._reader = AnswerReader.of(shape)

    def ask(
        self, http: httpx.Client, *, session: str = "", traceparent: str | None = None
    ) -> httpx.Response | str:
        """Return the answer to a request, or why there is none."""
        shape, request_id = self._shape, secrets.token_hex(8) if session else ""
        made = asked(shape.request, {"prompt": _prompt(), "session": session, "request": request_id})
        ids = {shape.session_header: session, shape.request_header: request_id}
        own = {name: each for name, each in ids.items() if name and each}
        same = {
            name: with_environment(text, os.environ)
            for name, text in headers_of(shape, shape.request).items()
        }
        trace = {} if traceparent is None else {"traceparent": traceparent}
        try:
            headers = httpx.Headers(own | same | trace, encoding="latin-1")
            return http.request(made.method, made.target, content=made.body, headers=headers)
        except (httpx.HTTPError, ValueError) as error:
            return f"no answer ({type(error).__name__}: {error})"

    def error_of(self, answer: httpx.Response | str) -> str | None:
        """Return what is wrong with an answer, None for nothing."""
        if isinstance(answer, str):
            return answer
        kind = answer.headers.get("content-type", "")
        failure = self._reader.read(answer.status_code, kind, answer.content).failure
        return failure.error if failure else None


class _First:
    """The first requests to a container after its restore."""

    def __init__(
        self, container: Container, shape: RequestShape, clock: Clock, limit: int, *, answers_bare: bool
    ) -> None:
        self._container = container
        self._shape = shape
        self._clock = clock
        self._answers_bare = answers_bare
        self._together = max(1, min(1 + BARE, limit - 1))
        self._full = self._together >= limit
        self._asking = _Asking(shape)

    def asked(self, restored_s: float, hooked: frozenset[str]) -> RestoredCopy:
        """Ask, and return what was seen.

        One request is as any caller's is, with a session; the others bring no ids.
        """
        with DirectCaller(self._container.reached_at, self._shape, timeout_s=TIMEOUT_S) as caller:
            session = caller.open(secrets.token_hex(20))
        trace_id, ask = secrets.token_hex(16), self._asking.ask
        traceparent = f"00-{trace_id}-{secrets.token_hex(8)}-01"
        with (
            control_client(TIMEOUT_S, base_url=f"http://{self._container.reached_at}") as http,
            ThreadPoolExecutor(self._together) as pool,
        ):
            whole = partial(ask, http, session=session, traceparent=traceparent)
            timed = list(pool.map(self._timed, [whole, *[partial(ask, http)] * BARE]))
            # Requests that fill a container change its status, and so its stamp, restored or not.
            stamp = None if self._full else _stamp(http)
        (first, took_s), *others = timed
        bare = [answer for answer, _ in others]
        errors = [self._asking.error_of(answer) for answer in bare if self._answers_bare]
        return RestoredCopy(
            container=self._container.name,
            restored_s=restored_s,
            hooked=self._container.name in hooked,
            status=0 if isinstance(first, str) else first.status_code,
            error=self._asking.error_of(first),
            trace_id=trace_id,
            took_s=took_s,
            failed=tuple(error for error in errors if error is not None),
            sessions=_made(bare, self._shape.session_header, SESSION_KEYS),
            requests=_made(bare, self._shape.request_header, ()),
            stamp=stamp,
        )

    def _timed(self, ask: Callable[[], httpx.Response | str]) -> tuple[httpx.Response | str, float]:
        begun_s = self._clock.monotonic()
        return ask(), self._clock.monotonic() - begun_s


def _made(answers: list[httpx.Response | str], header: str, keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids that a container made: from a header of its answers, else from a key of their JSON."""
    found = []
    for answer in answers:
        if isinstance(answer, str):
            continue
        told = answer.headers.get(header) if header else None
        found.append(told or _in_json(answer, keys))
    return tuple(each for each in found if each)


def _in_json(answer: httpx.Response, keys: tuple[str, ...]) -> str | None:
    try:
        body = parse_json(answer.content)
    except ValueError:
        return None
    values = [body.get(key) for key in keys] if isinstance(body, dict) else []
    return next((value for value in values if isinstance(value, str)), None)


def _stamp(http: httpx.Client) -> float | None:
    try:
        body = parse_json(http.get(PING).content)
    except (httpx.HTTPError, ValueError):
        return None
    return whole_number(body.get("time_of_last_update")) if isinstance(body, dict) else None
