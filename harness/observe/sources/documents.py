"""A document of JSON that has spans in it, told by its shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from harness.capture.decode import spans_of_others
from harness.observe.sources import cloudwatch, jaeger_json
from harness.outside.text import parse_json
from harness.records.seen import Span

WRAPPED: Final = ("result", "trace")
"""Jaeger's v3 API and Tempo's put OTLP into these."""
MESSAGES: Final = ("@message", "message")
MOST_DEPTH: Final = 8


def read(document: Any) -> tuple[list[Span], int]:
    """Return the spans of a document, and how many entries of it are no whole spans."""
    spans: list[Span] = []
    none = 0
    for entry in _entries(document, 0):
        found, left_out = _read(entry)
        spans += found
        none += left_out
    return spans, none


def _entries(document: Any, depth: int) -> Iterator[Any]:
    """Yield what a document wraps: lists, answers of APIs, and log events whose message is JSON."""
    within = _wrapped(document)
    if within is None:
        yield document
    elif depth < MOST_DEPTH:
        for entry in within:
            yield from _entries(entry, depth + 1)
    else:
        yield None  # whatever is in there is none


def _wrapped(document: Any) -> list[Any] | None:
    """Return what a document wraps, None where it is something itself."""
    if isinstance(document, list):
        return document
    if not isinstance(document, dict) or "traceId" in document:
        return None
    if isinstance(document.get("events"), list):  # as `aws logs filter-log-events` prints them
        return list(document["events"])
    for key in (*WRAPPED, *MESSAGES):
        within = document.get(key)
        if isinstance(within, dict | str):
            return [_parsed(within) if isinstance(within, str) else within]
    return None


def _parsed(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return None


def _read(entry: Any) -> tuple[list[Span], int]:
    if not isinstance(entry, dict):
        return [], 1
    if "resourceSpans" in entry or "batches" in entry:
        return spans_of_others({"resourceSpans": entry.get("resourceSpans", entry.get("batches"))})
    if "data" in entry or ("spans" in entry and "processes" in entry):
        return jaeger_json.read(entry)
    if "traceId" in entry or "trace_id" in entry:
        return cloudwatch.read(entry)
    return [], 1
