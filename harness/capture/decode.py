"""From the capture's raw file to OTLP/JSON lines, and from those to span records.

OTLP/JSON: ids in hex, 64-bit integers as strings, enums as numbers, camelCase; one
`{"resourceSpans": [...]}` a line, as Jaeger 1.60 and newer read it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from sys import intern
from typing import Any, Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf - has no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harness.capture.flatten import left_out as left_out_of
from harness.capture.flatten import resource_spans, with_attributes
from harness.capture.frames import Encoding, Frame, read_frames
from harness.capture.normal import (
    KINDS as KIND_NAMES,
)
from harness.capture.normal import (
    MOST_INT,
    SPAN_ID_CHARS,
    STATUSES,
    TRACE_ID_CHARS,
    enum,
    hex_id,
    instant_ns,
    regular,
    regular_attributes,
    regular_events,
    regular_value,
    table,
    tables,
    text,
)
from harness.contract import INSTANCE_ID, SERVICE_NAME
from harness.errors import InputError
from harness.outside.secrets import are_known, hidden
from harness.outside.text import parse_json
from harness.records.seen import Attribute, Span, SpanEvent, SpanKind

KINDS: Final[tuple[SpanKind, ...]] = (
    "unspecified",
    "internal",
    "server",
    "client",
    "producer",
    "consumer",
)
"""By their number in OTLP."""
STATUS_ERROR: Final = 2
SHARED_CHARS: Final = 40
"""Texts of more are hardly ever the same."""
MOST_SHARED: Final = 100_000
"""So many texts are remembered, then others: who reads more spans than it keeps needs no text of all."""
MOST_KEYS: Final = 10_000
"""So many names of attributes are one copy each. A sender that makes up names has more, and Python 3.12 never
lets go of what is interned."""
DIGITS: Final = len(str(MOST_INT)) - 1
"""A whole number of fewer is within 64 bits."""


def otlp_json_lines(
    raw: Path, extra_resource: Mapping[str, str] | None = None, *, left_out: list[str] | None = None
) -> Iterator[str]:
    """Yield each request of a raw file of traces as a line of OTLP/JSON.

    Args:
        raw: `traces.raw`; a last frame that was cut off is left out (`frames.count` tells).
        extra_resource: attributes to put on each resource, such as experiment and arm.
        left_out: gets a sentence for each frame that is no OTLP request, or lacks some of its spans.

    Raises:
        InputError: the file isn't there.
    """
    notes = [] if left_out is None else left_out
    for frame in _frames(raw, notes):
        resources = _resources(frame, raw, notes)
        with_attributes(resources, dict(extra_resource or {}))
        yield hidden(json.dumps({"resourceSpans": resources}, separators=(",", ":")))


def spans_since(raw: Path, from_byte: int) -> tuple[list[Span], int]:
    """Return the spans of a raw file that is still written to, and the byte from which to go on.

    Args:
        raw: `traces.raw`; none when it isn't there yet.
        from_byte: where to begin: 0, or what the last call returned.

    What is no span is left out.
    """
    found: list[Span] = []
    if not raw.exists():
        return found, from_byte
    for frame in _frames(raw, [], from_byte):
        found += _spans_in(frame, raw)
        from_byte = frame.ends_at
    return found, from_byte


def received(raw: Path) -> Iterator[tuple[float, Span]]:
    """Yield the spans of a raw file that is still written to, each with when it came in (Unix, in seconds).

    What is no span is left out.
    """
    for frame in _frames(raw, []) if raw.exists() else ():
        for span in _spans_in(frame, raw):
            yield frame.time_s, span


def _spans_in(frame: Frame, raw: Path) -> Iterator[Span]:
    """Yield the spans of a frame that are some, secrets hidden: who asks shows them."""
    request = {"resourceSpans": _resources(frame, raw, [])}
    if are_known() and (shown := hidden(text := json.dumps(request))) != text:
        request = parse_json(shown)
    return spans_of(request)


def _frames(raw: Path, notes: list[str], from_byte: int = 0) -> Iterator[Frame]:
    """Yield frames up to the end, or to where the file is no raw file any more."""
    frames = read_frames(raw, from_byte=from_byte)
    while True:
        try:
            frame = next(frames, None)
        except InputError as error:
            if not raw.exists():
                raise
            notes.append(f"{error}: it and what comes after it is left out.")
            return
        if frame is None:
            return
        yield frame


def _resources(frame: Frame, raw: Path, notes: list[str]) -> list[dict[str, Any]]:
    try:
        if frame.encoding is Encoding.PROTOBUF:
            request = ExportTraceServiceRequest.FromString(frame.payload)
            resources, lost = resource_spans(request), left_out_of(request)
        else:
            resources, lost = regular(parse_json(frame.payload))
    except (DecodeError, ValueError) as error:
        notes.append(f"{raw}: frame {frame.number}: is not an OTLP request, and left out: {error}")
        return []
    if lost:
        notes.append(f"{raw}: frame {frame.number}: {lost} of its spans lack an id, begin or end: left out.")
    return resources


def spans(lines: Iterable[str], source: str = "spans.jsonl") -> Iterator[Span]:
    """Yield the spans of OTLP/JSON lines.

    Args:
        lines: as `otlp_json_lines` yields them, or as a file of them has them.
        source: the file's name, for the message.

    Raises:
        InputError: a line is damaged; names file and line.
    """
    known: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        try:
            if len(known) > MOST_SHARED:
                known.clear()
            for span in spans_of(parse_json(line)):
                yield _sharing(span, known)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            what = f"{type(error).__name__}: {error}"
            raise InputError(f"{source}:{number}: is not a line of OTLP/JSON with spans: {what}") from error


def _sharing(span: Span, known: dict[str, str]) -> Span:
    """Let a span that was just made have the texts of those before it: JSON gives each a copy of its own."""
    same = known.setdefault
    span.trace_id, span.name = same(span.trace_id, span.trace_id), same(span.name, span.name)
    span.attributes = {
        key: same(value, value) if isinstance(value, str) and len(value) <= SHARED_CHARS else value
        for key, value in span.attributes.items()
    }
    return span


def spans_of(request: Mapping[str, Any]) -> Iterator[Span]:
    """Yield the spans of a regular request of OTLP/JSON (`normal.regular`, `flatten.resource_spans`)."""
    for entry in request["resourceSpans"]:
        service, instance, resource = _resource(entry)
        for scope in entry.get("scopeSpans", ()):
            name = scope.get("scope", {}).get("name", "")
            for span in scope.get("spans", ()):
                yield _span(span, service, instance, resource, name)


def spans_of_others(request: Any) -> tuple[list[Span], int]:
    """Return the spans of a request of OTLP/JSON that others wrote, and how many of its entries are none.

    They are those of `spans_of(regular(request))`. The regular JSON between, which is not made, took most of
    the time.

    Args:
        request: what JSON said, whatever that is.
    """
    found, left_out = list[Span](), 0
    for entry in tables(request, "resourceSpans"):
        head = {"resource": {"attributes": regular_attributes(table(entry.get("resource")))}}
        service, instance, resource = _resource(head)
        for scope in tables(entry, "scopeSpans"):
            name = text(table(scope.get("scope")).get("name"))
            given = scope.get("spans")
            for each in given if isinstance(given, list) else ():
                span = _span_of_others(table(each), service, instance, resource, name)
                if span is None:
                    left_out += 1
                else:
                    found.append(span)
    return found, left_out


def _span_of_others(
    span: dict[str, Any],
    service: str,
    instance: str | None,
    resource: Mapping[str, Attribute],
    scope: str,
) -> Span | None:
    asked = span.get
    trace_id, span_id = hex_id(asked("traceId"), TRACE_ID_CHARS), hex_id(asked("spanId"), SPAN_ID_CHARS)
    start_ns, end_ns = instant_ns(asked("startTimeUnixNano")), instant_ns(asked("endTimeUnixNano"))
    if not (trace_id and span_id and start_ns and end_ns):
        return None
    status = table(asked("status"))
    events = (
        SpanEvent(name=event["name"], time_ns=int(event["timeUnixNano"]), attributes=_attributes(event))
        for event in (regular_events(span) if "events" in span else ())
    )
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=hex_id(asked("parentSpanId"), SPAN_ID_CHARS) or None,
        name=text(asked("name")),
        kind=KINDS[enum(asked("kind"), "SPAN_KIND_", KIND_NAMES)],
        start_ns=start_ns,
        end_ns=end_ns,
        service=service,
        instance=instance,
        error=bool(status) and enum(status.get("code"), "STATUS_CODE_", STATUSES) == STATUS_ERROR,
        status_message=text(status.get("message")),
        attributes=_attributes_of_others(asked("attributes")),
        events=tuple(events),
        resource=resource,
        scope=scope,
        trace_state=text(asked("traceState")),
    )


def _attributes_of_others(given: Any) -> dict[str, Attribute]:
    """Return attributes; most are texts and small whole numbers, which need no more than a look."""
    found: dict[str, Attribute] = {}
    for entry in given if isinstance(given, list) else ():
        if not isinstance(entry, dict) or not isinstance(key := entry.get("key"), str):
            continue
        value = entry.get("value")
        key = _shared_key(key)  # the same few dozen in each span: one copy, found and put aside faster
        if isinstance(value, dict) and len(value) == 1:
            ((kind, content),) = value.items()
            if isinstance(content, str):
                if kind == "stringValue":
                    found[key] = content
                    continue
                if kind == "intValue" and len(content) < DIGITS and content.isascii() and content.isdigit():
                    found[key] = int(content)
                    continue
        found[key] = _value(regular_value(value, 0))
    return found


def _resource(entry: Mapping[str, Any]) -> tuple[str, str | None, dict[str, Attribute]]:
    """Return the service of an entry, its instance, and what else its resource says."""
    resource = _attributes(entry.get("resource", {}))
    service = str(resource.pop(SERVICE_NAME, None) or "unknown_service")
    instance = resource.pop(INSTANCE_ID, None)
    return service, None if instance is None else str(instance), resource


def _span(
    span: Mapping[str, Any],
    service: str,
    instance: str | None,
    resource: Mapping[str, Attribute],
    scope: str,
) -> Span:
    status = span.get("status", {})
    return Span(
        trace_id=span["traceId"].lower(),
        span_id=span["spanId"].lower(),
        parent_span_id=_parent(span.get("parentSpanId")),
        name=span["name"],
        kind=_kind(span.get("kind", 0)),
        start_ns=int(span["startTimeUnixNano"]),
        end_ns=int(span["endTimeUnixNano"]),
        service=service,
        instance=instance,
        error=status.get("code", 0) == STATUS_ERROR,
        status_message=status.get("message", ""),
        attributes=_attributes(span),
        events=tuple(
            SpanEvent(name=event["name"], time_ns=int(event["timeUnixNano"]), attributes=_attributes(event))
            for event in span.get("events", ())
        ),
        resource=resource,
        scope=scope,
        trace_state=span.get("traceState", ""),
    )


def _parent(span_id: str | None) -> str | None:
    """Return the parent's id in lower case: hex is read in either, and zeros stand for none."""
    return span_id.lower() if span_id and span_id.strip("0") else None


def _kind(kind: int | str) -> SpanKind:
    """Return a span's kind; some write it by its name, as `SPAN_KIND_SERVER`."""
    if isinstance(kind, int):
        return KINDS[kind]
    return KINDS[[name.upper() for name in KINDS].index(kind.removeprefix("SPAN_KIND_").upper())]


def _attributes(holder: Mapping[str, Any]) -> dict[str, Attribute]:
    # keys are the same few dozen in each span: as many copies were a third of a run's memory
    return {
        _shared_key(entry["key"]): _value(entry.get("value") or {}) for entry in holder.get("attributes", ())
    }


_keys: Final[dict[str, str]] = {}


def _shared_key(key: str) -> str:
    known = _keys.get(key)
    if known is None:
        if len(_keys) >= MOST_KEYS or len(key) > SHARED_CHARS:
            return key
        known = _keys[key] = intern(key)
    return known


def _value(value: Mapping[str, Any]) -> Attribute:
    """Return an OTLP/JSON value; a list of pairs becomes a tuple of (key, value) tuples."""
    for kind, content in value.items():
        match kind:
            case "intValue":
                return int(content)
            case "doubleValue":
                return float(content)
            case "arrayValue":
                return tuple(_value(entry) for entry in content.get("values", ()))
            case "kvlistValue":
                pairs = content.get("values", ())
                return tuple((entry["key"], _value(entry.get("value") or {})) for entry in pairs)
            case "stringValue" | "boolValue" | "bytesValue":
                scalar: Attribute = content
                return scalar
    return None
