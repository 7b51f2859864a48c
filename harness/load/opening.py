"""Opens the sessions of a load, each once, before its first turn."""

from __future__ import annotations

from typing import Protocol

import gevent

from harness.asking.answer import SHOWN_CHARS, AnswerReader
from harness.asking.json_path import find, parse
from harness.asking.request import asked
from harness.load.identity import Identity
from harness.load.reply import Reply
from harness.outside.secrets import beginning
from harness.outside.text import parse_json
from harness.under_test import Opening

FEW = 3
"""Sessions in a row that can't be opened: the next one most likely can't, either."""


class OpeningService(Protocol):
    """What is asked of a `Service`."""

    def request(self, target: str, body: bytes, *varying: str) -> bytes:
        """Return a whole request."""
        ...

    def send(self, request: bytes) -> Reply:
        """Send a request and return the whole answer."""
        ...


class NotOpenedError(ValueError):
    """A session was asked for, and there is none."""


class Openings:
    """The sessions that are open.

    Args:
        service: that opens them.
        opening: how.
        timeout_s: how long that may take.
    """

    def __init__(self, service: OpeningService, opening: Opening, timeout_s: float) -> None:
        self._service = service
        self._opening = opening
        self._path = parse(opening.session) if opening.session else None
        self._timeout_s = timeout_s
        self._reader = AnswerReader()
        self._open: dict[str, str | NotOpenedError] = {}
        self._failed = 0

    @property
    def given_up(self) -> bool:
        """Whether the last few could not be opened."""
        return self._failed >= FEW

    def session(self, session_id: str, identity: Identity) -> str:
        """Return the id by which the agent knows a session, which is opened when it is not yet.

        It is tried once: each turn of a session that could not be opened fails.

        Args:
            session_id: ours.
            identity: of the request that needs it.

        Raises:
            NotOpenedError: it could not be opened; says why.
        """
        if session_id not in self._open:
            try:
                self._open[session_id] = self._ask(session_id, identity)
                self._failed = 0
            except NotOpenedError as error:
                self._open[session_id] = error
                self._failed += 1
        known = self._open[session_id]
        if isinstance(known, NotOpenedError):
            raise known
        return known

    def _ask(self, session_id: str, identity: Identity) -> str:
        values = {"prompt": "", "session": session_id, "request": identity.request_id}
        made = asked(self._opening.request, values)
        request = self._service.request(
            made.target, made.body, identity.traceparent, session_id, identity.request_id
        )
        try:
            with gevent.Timeout(self._timeout_s):
                reply = self._service.send(request)
        except gevent.Timeout:
            raise NotOpenedError(f"the session was not opened within {self._timeout_s:g} s") from None
        except Exception as error:
            raise NotOpenedError(f"the session could not be opened: {error}") from error
        return self._named(session_id, reply)

    def _named(self, session_id: str, reply: Reply) -> str:
        kind = reply.header(b"content-type") or ""
        if reply.body or reply.status != 204:  # noqa: PLR2004 - HTTP's "No Content": it is open, and nothing is said
            failure = self._reader.read(reply.status, kind, reply.body).failure
            if failure is not None:
                raise NotOpenedError(f"the session could not be opened: {failure.error}")
        if self._path is None:
            return session_id
        try:
            found = find(parse_json(reply.body), self._path)
        except ValueError:
            found = []
        if not found or not isinstance(found[0], str | int) or found[0] == "":
            raise NotOpenedError(
                f"the answer that opens a session has no {self._opening.session}: "
                f"{beginning(reply.body.decode(errors='replace'), SHOWN_CHARS)}"
            )
        return str(found[0])
