"""A Jaeger that runs, by its v3 API: asked window by window, halved where an answer is as long as may be.

Versions differ in how the number of traces is asked for: `query.num_traces` until 2.19, `query.search_depth`
from 2.20 on. Both are said; each version reads its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from harness.errors import StartError
from harness.observe.sources import documents
from harness.observe.sources.source import AHEAD_S, Time, may_be_cut
from harness.outside.secrets import beginning
from harness.outside.text import without_halves
from harness.records.seen import Span

AT_ONCE: Final = 500
"""Traces of an answer."""
SHORTEST_S: Final = 0.01
"""A window that is not halved any more."""
DAY_S: Final = 86_400.0
NOT_FOUND: Final = 404
OK: Final = 200
ITSELF: Final = {"jaeger", "jaeger-query", "jaeger-all-in-one"}


class JaegerApi:
    """A Jaeger that runs.

    Args:
        client: of HTTP, whose base address is that of its page.
        services: whose traces are wanted; all that it knows when none is given.
        at_once: traces of an answer, at the most.
    """

    live = True
    listens_since_s: float | None = None

    def __init__(self, client: httpx.Client, services: Sequence[str], at_once: int = AT_ONCE) -> None:
        self.notes: list[str] = []
        self._client = client
        self._services = services
        self._at_once = at_once

    def spans(self, time: Time) -> Iterator[Span]:
        """Yield the spans of all traces that a service was part of, in the time that is looked at.

        Raises:
            StartError: it does not answer, or says that something is wrong.
        """
        self.notes = []
        from_s = time.to_s - DAY_S if time.from_s is None else time.from_s
        for service in self._services or self._known():
            yield from self._window(service, from_s, time.to_s)
            yield from self._window(service, time.to_s, time.to_s + AHEAD_S)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _known(self) -> list[str]:
        answer = self._ask("/api/v3/services", {})
        found = next(self._documents(answer), None) if answer is not None else None
        services = found.get("services") if isinstance(found, dict) else None
        return [each for each in services or () if isinstance(each, str) and each not in ITSELF]

    def _window(self, service: str, from_s: float, to_s: float, of_both: int = 0) -> Iterator[Span]:
        """Yield the spans of a window, half by half where there may be more.

        Args:
            service: whose.
            from_s: from when (Unix).
            to_s: until when.
            of_both: traces that the window had of which it is a half: as many again were cut there.
        """
        answer = self._ask(
            "/api/v3/traces",
            {
                "query.service_name": service,
                "query.start_time_min": _instant(from_s),
                "query.start_time_max": _instant(to_s),
                "query.num_traces": str(self._at_once),
                "query.search_depth": str(self._at_once),
            },
        )
        if answer is None:
            return
        spans = self._read(answer)
        traces = len({span.trace_id for span in spans})
        is_short = to_s - from_s <= SHORTEST_S
        if is_short or not may_be_cut(traces, self._at_once):
            if traces >= self._at_once or (may_be_cut(traces, self._at_once) and traces == of_both):
                self.notes.append(f"Jaeger has more than {traces} traces within {to_s - from_s:.3f} s")
            yield from spans
            return
        del answer, spans  # else those of all halvings are held
        middle_s = (from_s + to_s) / 2
        yield from self._window(service, from_s, middle_s, traces)
        yield from self._window(service, middle_s, to_s, traces)

    def _read(self, answer: httpx.Response) -> list[Span]:
        spans: list[Span] = []
        none = 0
        for document in self._documents(answer):
            found, left_out = documents.read(document)
            spans += found
            none += left_out
        if none:
            self.notes.append(
                f"an answer of Jaeger's was cut off, or {none} entries of it are no whole spans"
            )
        return spans

    def _ask(self, path: str, asked: dict[str, str]) -> httpx.Response | None:
        """Return an answer, None where nothing was found."""
        try:
            answer = self._client.get(path, params=asked)
        except httpx.HTTPError as error:
            raise StartError(
                f"{self._client.base_url}: does not answer: {error}. Is it Jaeger's page (port 16686)?"
            ) from error
        if answer.status_code == NOT_FOUND and asked:
            return None
        if answer.status_code != OK:
            said = beginning(answer.text.strip(), 200)
            raise StartError(
                f"{str(self._client.base_url).rstrip('/')}{path}: HTTP {answer.status_code}: {said}. "
                "It takes a Jaeger from 2.0 on."
            )
        return answer

    def _documents(self, answer: httpx.Response) -> Iterator[Any]:
        """Yield the documents of JSON of an answer: a long one comes as several, one after the other.

        None stands for what is none after the first.

        Raises:
            StartError: there is none at all.
        """
        decoder, at, body = json.JSONDecoder(), 0, answer.content.decode(errors="replace")
        begun = False
        while at < len(body):
            if body[at].isspace():
                at += 1
                continue
            try:
                raw, at = decoder.raw_decode(body, at)
                document = without_halves(raw)
            except (ValueError, RecursionError) as error:
                if begun:
                    yield None
                    return
                raise StartError(
                    f"{self._client.base_url}: answers what is no JSON: {body[at : at + 100]!a}. "
                    "Is it Jaeger's page (port 16686)?"
                ) from error
            begun = True
            yield document


def _instant(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
