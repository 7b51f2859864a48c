"""Spans of CloudWatch's log group `aws/spans`, where AgentCore's are: a JSON object each, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from harness.contract import INSTANCE_ID, SERVICE_NAME
from harness.observe.sources.told import attribute, hexadecimal, listed, number, table, text
from harness.records.seen import Attribute, Span, SpanEvent, SpanKind

KINDS: Final[Mapping[str, SpanKind]] = {
    "internal": "internal",
    "server": "server",
    "client": "client",
    "producer": "producer",
    "consumer": "consumer",
}
STATUS_ERROR: Final = "ERROR"


def read(entry: Mapping[str, Any]) -> tuple[list[Span], int]:
    """Return the span of an entry, or that it is no whole one."""
    span = _span(entry)
    return ([], 1) if span is None else ([span], 0)


def _span(entry: Mapping[str, Any]) -> Span | None:
    trace_id = hexadecimal(text(entry.get("traceId") or entry.get("trace_id")).replace("-", "")[-32:], 32)
    span_id = hexadecimal(entry.get("spanId") or entry.get("span_id"), 16)
    start_ns = number(entry.get("startTimeUnixNano"))
    end_ns = number(entry.get("endTimeUnixNano"))
    if end_ns is None and start_ns is not None and (took_ns := number(entry.get("durationNano"))) is not None:
        end_ns = start_ns + took_ns
    if not trace_id or not span_id or not start_ns or not end_ns:
        return None
    resource = _plain(table(entry.get("resource")).get("attributes"))
    instance = resource.pop(INSTANCE_ID, None)
    status = table(entry.get("status"))
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=hexadecimal(entry.get("parentSpanId"), 16) or None,
        name=text(entry.get("name")),
        kind=KINDS.get(text(entry.get("kind")).removeprefix("SPAN_KIND_").lower(), "unspecified"),
        start_ns=int(start_ns),
        end_ns=int(end_ns),
        service=str(resource.pop(SERVICE_NAME, None) or "unknown_service"),
        instance=None if instance is None else str(instance),
        error=text(status.get("code")).removeprefix("STATUS_CODE_") == STATUS_ERROR,
        status_message=text(status.get("message")),
        attributes=_plain(entry.get("attributes")),
        events=tuple(_events(entry)),
        resource=resource,
        scope=text(table(entry.get("scope")).get("name")),
        trace_state=text(entry.get("traceState")),
    )


def _plain(given: Any) -> dict[str, Attribute]:
    return {key: attribute(value) for key, value in table(given).items()}


def _events(entry: Mapping[str, Any]) -> list[SpanEvent]:
    return [
        SpanEvent(
            name=text(event.get("name")), time_ns=int(at_ns), attributes=_plain(event.get("attributes"))
        )
        for event in map(table, listed(entry.get("events")))
        if (at_ns := number(event.get("timeUnixNano"))) is not None
    ]
