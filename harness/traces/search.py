"""What is looked for among the traces."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from harness.records.seen import Attribute, Span
from harness.traces.store import Trace

DURATION: Final = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(us|ms|s|m|)\s*$")
IN_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "": 1e-3, "s": 1.0, "m": 60.0}
SHOWN, MOST_SHOWN = 50, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search; what is empty or None asks for nothing.

    Attributes:
        service: a service, or a container, that has a span in the trace.
        name: words in the name of a span.
        tags: attributes of one span or of its resource, by key.
        min_s, max_s: how long the trace takes.
        failed: whether a span has to have failed.
        slowest: whether the slowest come first, or the newest.
        limit: traces that are shown.
    """

    service: str = ""
    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    min_s: float | None = None
    max_s: float | None = None
    failed: bool = False
    slowest: bool = True
    limit: int = SHOWN


def parse(fields: Mapping[str, str]) -> Query:
    """Read the fields of the form.

    Raises:
        ValueError: one of them is not understood; says which.
    """
    limit = fields.get("limit", "").strip() or str(SHOWN)
    if not limit.isdecimal() or not 1 <= int(limit) <= MOST_SHOWN:
        raise ValueError(f"show: give a number from 1 to {MOST_SHOWN}, not {limit!r}")
    return Query(
        service=fields.get("service", "").strip(),
        name=fields.get("name", "").strip(),
        tags=tags_of(fields.get("tags", "")),
        min_s=duration_of(fields.get("min", "")),
        max_s=duration_of(fields.get("max", "")),
        failed=fields.get("failed") == "yes",
        slowest=fields.get("order") != "newest",
        limit=int(limit),
    )


def tags_of(text: str) -> dict[str, str]:
    """Read `key=value` pairs with spaces between them; a value with spaces stands in quotes.

    Raises:
        ValueError: it is none.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"tags: {str(error).lower()}") from error
    pairs = [word.partition("=") for word in words]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise ValueError(f"tags: give pairs such as http.response.status_code=503, not {key!r}")
    return {key: value for key, _, value in pairs}


def duration_of(text: str) -> float | None:
    """Read a duration such as `250ms` or `1.5s`, in seconds; None for an empty one.

    Raises:
        ValueError: it is none.
    """
    if not text.strip():
        return None
    found = DURATION.match(text)
    if found is None:
        raise ValueError(f"a duration is such as 250ms or 1.5s, not {text!r}")
    return float(found[1]) * IN_SECONDS[found[2]]


def search(traces: Iterable[Trace], query: Query) -> tuple[list[Trace], int]:
    """Return the traces that are shown, in their order, and how many were found."""
    found = [trace for trace in traces if matches(trace, query)]
    if query.slowest:
        found.sort(key=lambda trace: -trace.duration_s)
    else:
        found.sort(key=lambda trace: -trace.begin_ns)
    return found[: query.limit], len(found)


def matches(trace: Trace, query: Query) -> bool:
    """Return whether a trace is one that is looked for."""
    took_s = trace.duration_s
    if query.min_s is not None and took_s < query.min_s:
        return False
    if query.max_s is not None and took_s > query.max_s:
        return False
    if query.failed and not trace.failed:
        return False
    return any(_is_meant(span, query) for span in trace.spans)


def _is_meant(span: Span, query: Query) -> bool:
    if query.service and query.service not in {span.service, span.instance}:
        return False
    if query.name.lower() not in span.name.lower():
        return False
    return all(_tag(span, key) == value for key, value in query.tags.items())


def _tag(span: Span, key: str) -> str | None:
    """Return an attribute of a span, of its resource, or what Jaeger has as a tag, as text."""
    own: dict[str, Attribute] = {"error": span.error, "span.kind": span.kind}
    for holder in (span.attributes, span.resource, own):
        if key in holder:
            value = holder[key]
            return value if isinstance(value, str) else json.dumps(value)
    return None
