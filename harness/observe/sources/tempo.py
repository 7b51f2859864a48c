"""A Tempo that runs, by its HTTP API: searched window by window, and each trace fetched.

A search gives the first that it finds, in no order: where it gives as many as were asked for, there may be
more, and it is asked again for half of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import httpx

from harness.errors import StartError
from harness.observe.sources import documents
from harness.observe.sources.patience import NotNowError, patiently
from harness.observe.sources.source import AHEAD_S, Time, may_be_cut
from harness.observe.sources.told import listed, table
from harness.outside.secrets import beginning
from harness.outside.text import parse_json
from harness.records.seen import Span

AT_ONCE: Final = 500
"""Traces of an answer."""
DAY_S: Final = 86_400
OK, NOT_FOUND, TOO_MANY, SERVER_FROM = 200, 404, 429, 500
PARTIAL: Final = "PARTIAL"


class TempoApi:
    """A Tempo that runs.

    Args:
        client: of HTTP, whose base address is that of its API.
        services: whose traces are wanted; all when none is given.
        sleep: waits until it is asked again, where it throttles.
        at_once: traces of an answer, at the most.
    """

    live = True
    listens_since_s: float | None = None

    def __init__(
        self,
        client: httpx.Client,
        services: Sequence[str],
        sleep: Callable[[float], None],
        at_once: int = AT_ONCE,
    ) -> None:
        self.notes: list[str] = []
        self._client, self._services, self._sleep, self._at_once = client, services, sleep, at_once

    def spans(self, time: Time) -> Iterator[Span]:
        """Yield the spans of all traces that a service was part of, in the time that is looked at.

        Raises:
            StartError: it does not answer, or says that something is wrong.
        """
        self.notes = []
        to_s = int(time.to_s) + 1
        from_s = to_s - DAY_S if time.from_s is None else int(time.from_s)
        asked = [(from_s, to_s), (to_s, to_s + int(AHEAD_S))]
        ids = dict.fromkeys(
            id_ for query in self._queries() for at in asked for id_ in self._found(query, *at)
        )
        gone = 0
        for trace in ids:
            answer = self._ask(f"/api/v2/traces/{trace}", {})
            gone += answer is None
            yield from self._trace(answer, trace)
        if gone:
            self.notes.append(f"{gone} of {len(ids)} traces that Tempo found could not be fetched: HTTP 404")

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _queries(self) -> list[str]:
        return [f"{{ resource.service.name = {_quoted(name)} }}" for name in self._services] or ["{}"]

    def _found(self, query: str, from_s: int, to_s: int, of_both: int = 0) -> Iterator[str]:
        """Yield the ids of the traces that a search finds, half by half where there may be more.

        Args:
            query: of the search.
            from_s: from when, in Unix seconds.
            to_s: until when.
            of_both: traces that the time had of which it is a half: as many again were cut there.
        """
        asked = {"q": query, "start": str(from_s), "end": str(to_s), "limit": str(self._at_once)}
        entries = listed(table(self._ask("/api/search", asked)).get("traces"))
        ids = [each["traceID"] for each in entries if _has_id(each)]
        if len(ids) < len(entries):
            self.notes.append(
                f"{len(entries) - len(ids)} traces that Tempo found have no id to fetch them by"
            )
        is_short = to_s - from_s <= 1
        if is_short or not may_be_cut(len(entries), self._at_once):
            is_cut = may_be_cut(len(entries), self._at_once)
            if len(entries) >= self._at_once or (is_cut and len(entries) == of_both):
                self.notes.append(
                    f"Tempo has {len(entries)} traces or more in one second, and more are not told"
                )
            yield from ids
        else:
            middle_s = (from_s + to_s) // 2
            yield from self._found(query, from_s, middle_s, len(entries))
            yield from self._found(query, middle_s, to_s, len(entries))

    def _trace(self, answer: Any, trace: str) -> Iterator[Span]:
        if not isinstance(answer, dict):
            return
        if answer.get("status") == PARTIAL:
            self.notes.append(f"Tempo has only a part of trace {trace}: {answer.get('message', '')}")
        found, none = documents.read(answer)
        if none:
            self.notes.append(f"{none} entries of trace {trace} are no whole spans")
        yield from found

    def _ask(self, path: str, asked: dict[str, str]) -> Any:
        """Return what an answer says, None where nothing was found."""

        def once() -> httpx.Response:
            try:
                answer = self._client.get(path, params=asked)
            except httpx.HTTPError as error:
                raise NotNowError(str(error)) from error
            if answer.status_code == TOO_MANY or answer.status_code >= SERVER_FROM:
                raise NotNowError(f"HTTP {answer.status_code}: {beginning(answer.text.strip(), 200)}")
            return answer

        where = f"{str(self._client.base_url).rstrip('/')}{path}"
        try:
            answer = patiently(once, self._sleep)
        except NotNowError as error:
            raise StartError(f"{where}: does not answer: {error}. Is it Tempo's API (port 3200)?") from error
        if answer.status_code == NOT_FOUND and not asked:
            return None
        if answer.status_code != OK:
            said = beginning(answer.text.strip(), 200)
            raise StartError(f"{where}: HTTP {answer.status_code}: {said}. It takes a Tempo from 2.7 on.")
        try:
            return parse_json(answer.content)
        except ValueError as error:
            raise StartError(f"{where}: answers with what is no JSON: {error}.") from error


def _has_id(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("traceID"), str) and entry["traceID"].isalnum()


def _quoted(name: str) -> str:
    """Return a name as TraceQL writes a text."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
