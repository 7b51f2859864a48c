"""Values of spans that others wrote: what has another type than it should is none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

from harness.outside.text import parse_json
from harness.records.seen import Attribute, Span

STATUS_IN_WORDS: Final = re.compile(r"(?:[Ee]rror code|status(?:_code)?)\W{1,3}([45]\d\d)\b")
"""How the SDKs' exceptions name a status: `Error code: 429 - {...}`, `status_code: 503`."""
MOST_CHARS: Final = 4096
"""Of a message that is searched, and of a name."""
KIND: Final = re.compile(r"[A-Za-z0-9_][\w.:$/-]{0,99}")
KIND_BY_NAME: Final = re.compile(r"[A-Za-z_][\w.]{0,90}(?:Error|Exception|Fault|Timeout)")
"""What a message begins with where its kind is written before it."""
MOST_NAME, MOST_WORDS = 80, 4
"""Of what a report calls a span."""
TOO_OLD_S: Final = 86_400.0


def text(span: Span, *names: str) -> str | None:
    """Return the first of some attributes that is a text with something in it."""
    attributes = span.attributes
    for name in names:  # no generator: each span is asked dozens of times
        found = attributes.get(name)
        if found and isinstance(found, str):
            return found
    return None


def number(span: Span, *names: str) -> float | None:
    """Return the first of some attributes that is a number, also one that is written as a text."""
    attributes = span.attributes
    for name in names:
        if name in attributes and (found := finite(attributes[name])) is not None:
            return found
    return None


def whole(span: Span, *names: str) -> int | None:
    """Return the first of some attributes that is a whole number."""
    found = number(span, *names)
    return None if found is None else int(found)


def status(span: Span) -> int | None:
    """Return the HTTP status that a span tells of, in the names of today or of before."""
    found = whole(span, "http.response.status_code", "http.status_code")
    return found if found is not None and 0 <= found <= 999 else None  # noqa: PLR2004 - three digits


def error(span: Span) -> str | None:
    """Return the kind of a span's error, None where it tells of none.

    It may stand in reports: what is no kind but a sentence has words in it that nobody should read there.
    """
    told = text(span, "error.type")
    if told is None and not span.error:
        return None
    kinds = [
        kind
        for event in span.events
        if event.name == "exception" and isinstance(kind := event.attributes.get("exception.type"), str)
    ]
    begin = re.split(r"[:\s(]", span.status_message, maxsplit=1)[0]
    return next((kind for kind in (told, *kinds) if kind and KIND.fullmatch(kind)), None) or (
        begin if KIND_BY_NAME.fullmatch(begin) else "error"
    )


def label(name: str, instead: str) -> str:
    """Return a name as reports may have it: of few words, without what a query or a sentence might hold.

    Args:
        name: as it was sent.
        instead: what stands for one that is none.
    """
    return _label(name[:MOST_CHARS], instead)


@lru_cache(maxsize=4096)  # a service's spans have few names; of long ones, so many would be gigabytes
def _label(name: str, instead: str) -> str:
    begin = name.partition("?")[0].strip()
    fits = len(begin) <= MOST_NAME and len(begin.split()) <= MOST_WORDS and begin.isprintable()
    return begin if begin and fits else instead


def said(span: Span) -> str:
    """Return all words that a span has of its error."""
    of_events = (
        str(event.attributes.get("exception.message", ""))
        for event in span.events
        if event.name == "exception"
    )
    return " ".join([span.status_message, *of_events])[:MOST_CHARS]


def status_in_words(span: Span) -> int | None:
    """Return the HTTP status that the words of an error name, None for none."""
    if not span.error:
        return None
    found = STATUS_IN_WORDS.search(said(span))
    return int(found.group(1)) if found else None


def retry_after_s(span: Span) -> float | None:
    """Return the seconds that an answer said to wait, as instrumentation keeps headers; None for none."""
    finer = _first(span.attributes.get("http.response.header.retry-after-ms"))
    if (ms := finite(finer)) is not None and ms >= 0:
        return ms / 1e3
    given = _first(span.attributes.get("http.response.header.retry-after"))
    if (seconds := finite(given)) is not None:
        return seconds if seconds >= 0 else None
    if isinstance(given, str):
        try:
            until: datetime = parsedate_to_datetime(given)
        except (ValueError, TypeError):
            return None
        wait_s = until.timestamp() - span.end_ns / 1e9
        return wait_s if 0 <= wait_s <= TOO_OLD_S else None
    return None


def field(span: Span, attribute: str, *path: str) -> Attribute:
    """Return what lies at a path in an attribute that is JSON; None for nothing of that kind."""
    given = text(span, attribute)
    if given is None or len(given) > MOST_CHARS:
        return None
    try:
        value = parse_json(given)
    except (ValueError, json.JSONDecodeError):
        return None
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str | int | float | bool) else None


def starts(name: str, begins: Iterable[str]) -> bool:
    """Whether a span's name is one of some, or one of them and more."""
    return any(name == begin or name.startswith(f"{begin} ") for begin in begins)


def _first(value: Attribute) -> Attribute:
    return value[0] if isinstance(value, tuple) and value else value


def finite(value: Attribute) -> float | None:
    """Return a value as a number, also one that is written as a text; None where it is none."""
    if isinstance(value, bool) or value is None or isinstance(value, tuple):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
