"""The JSON that Jaeger's page downloads: microseconds, tags, and processes beside the spans."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from harness.contract import INSTANCE_ID, SERVICE_NAME
from harness.observe.sources.told import attribute, hexadecimal, listed, number, table, text
from harness.records.seen import Attribute, Span, SpanEvent, SpanKind

KINDS: Final[Mapping[str, SpanKind]] = {
    "server": "server",
    "client": "client",
    "producer": "producer",
    "consumer": "consumer",
    "internal": "internal",
}
US: Final = 1_000
CHILD_OF: Final = "CHILD_OF"


def read(document: Mapping[str, Any]) -> tuple[list[Span], int]:
    """Return the spans of a document of Jaeger's, and how many entries are no whole spans."""
    spans: list[Span] = []
    none = 0
    traces = document.get("data") if "data" in document else [document]
    if not isinstance(traces, list):
        return [], 1
    for trace in map(table, traces):
        processes = {key: table(each) for key, each in table(trace.get("processes")).items()}
        entries = trace.get("spans")
        none += not isinstance(entries, list)
        for entry in map(table, listed(entries)):
            span = _span(entry, processes.get(text(entry.get("processID")), table(entry.get("process"))))
            spans += [span] if span is not None else []
            none += span is None
    return spans, none


def _span(entry: Mapping[str, Any], process: Mapping[str, Any]) -> Span | None:
    trace_id, span_id = hexadecimal(entry.get("traceID"), 32), hexadecimal(entry.get("spanID"), 16)
    start_us, took_us = number(entry.get("startTime")), number(entry.get("duration"))
    if not trace_id or not span_id or start_us is None or took_us is None or not process:
        return None  # without its process, nobody knows whose it is
    parent = _parent(entry, trace_id)
    if parent is None:
        return None  # what it is below can't be read
    tags, resource = _tags(entry), _tags(process)
    status = text(tags.pop("otel.status_code", "")).upper()
    failed = status == "ERROR" or tags.get("error") in {True, "true"}
    instance = resource.pop(INSTANCE_ID, None)
    resource.pop(SERVICE_NAME, None)
    start_ns = int(start_us * US)
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent or None,
        name=text(entry.get("operationName")),
        kind=KINDS.get(text(tags.pop("span.kind", "internal")), "unspecified"),
        start_ns=start_ns,
        end_ns=start_ns + max(0, int(took_us * US)),
        service=text(process.get("serviceName")) or "unknown_service",
        instance=None if instance is None else str(instance),
        error=failed,
        status_message=text(tags.pop("otel.status_description", "")),
        attributes=tags,
        events=tuple(_events(entry)),
        resource=resource,
        scope=text(tags.pop("otel.scope.name", tags.pop("otel.library.name", ""))),
        trace_state=text(tags.pop("w3c.tracestate", "")),
    )


def _parent(entry: Mapping[str, Any], trace_id: str) -> str | None:
    """Return the id of what a span is below, an empty text for nothing; None where it can't be read.

    A span may refer to others for many reasons, and to those of other traces: the first of its own trace is
    above it, whatever the reason is called, but one that it is `CHILD_OF` goes before.
    """
    given = [each for each in map(table, listed(entry.get("references"))) if each.get("spanID")]
    of_this = [each for each in given if hexadecimal(each.get("traceID", trace_id), 32) in {trace_id, ""}]
    for each in sorted(of_this, key=lambda one: one.get("refType") != CHILD_OF):
        return hexadecimal(each["spanID"], 16) or None
    told = entry.get("parentSpanID")
    return hexadecimal(told, 16) if isinstance(told, str) else ""


def _tags(holder: Mapping[str, Any], key: str = "tags") -> dict[str, Attribute]:
    return {
        tag["key"]: _value(tag.get("value"))
        for tag in map(table, listed(holder.get(key)))
        if isinstance(tag.get("key"), str)
    }


def _value(given: Any) -> Attribute:
    """Return a tag's value; a list is written as JSON in a text."""
    if isinstance(given, str) and given.startswith("[") and given.endswith("]"):
        try:
            return attribute(json.loads(given))
        except (ValueError, RecursionError):
            return given
    return attribute(given)


def _events(entry: Mapping[str, Any]) -> list[SpanEvent]:
    found = []
    for log in map(table, listed(entry.get("logs"))):
        fields = _tags(log, "fields")
        at_us = number(log.get("timestamp"))
        if at_us is not None:
            name = text(fields.pop("event", "")) or "event"
            found.append(SpanEvent(name=name, time_ns=int(at_us * US), attributes=fields))
    return found
