"""Spans as OTLP at a fraction of the cost: what is the same in every request is encoded once.

Most attributes of a span have a value that comes again with every request, and the SDK makes a message of
each anew. Here one message is made for each key and value, which protobuf copies in C.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2 as wire
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import StatusCode
from opentelemetry.util.types import Attributes

REMEMBERED: Final = 2048
"""Keys with their values; those of one request alone push each other out."""
FIELDS: Final = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
LOCAL: Final = wire.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
REMOTE: Final = LOCAL | wire.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK


def install() -> None:
    """Let the SDK's exporter encode as below."""
    setattr(trace_exporter, "encode_spans", encoded)  # noqa: B010 - it is no name of that module for mypy


def encoded(sdk_spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    """Return what the SDK's own `encode_spans` says, which still encodes whatever is unusual."""
    request = ExportTraceServiceRequest()
    by_resource: dict[int, Any] = {}
    for group in _by_source(sdk_spans):
        (of_resource,) = encode_spans(group[:1]).resource_spans  # its resource and its scope
        (of_scope,) = of_resource.scope_spans
        del of_scope.spans[:]
        of_scope.spans.extend(_span(span) for span in group)
        known = by_resource.get(id(group[0].resource))
        if known is None:
            request.resource_spans.append(of_resource)
            by_resource[id(group[0].resource)] = request.resource_spans[-1]
        else:
            known.scope_spans.append(of_scope)
    return request


def _by_source(spans: Sequence[ReadableSpan]) -> Iterator[list[ReadableSpan]]:
    groups: dict[tuple[int, int], list[ReadableSpan]] = {}
    for span in spans:  # both are one object a process, and dear to hash
        groups.setdefault((id(span.resource), id(span.instrumentation_scope)), []).append(span)
    yield from groups.values()


def _span(span: ReadableSpan) -> wire.Span:
    context, parent = span.context, span.parent
    try:
        attributes = _attributes(span.attributes)
        events = [_event(event) for event in span.events]
    except (KeyError, ValueError):
        return _usual(span)
    if context is None or context.trace_state or span.links:
        return _usual(span)
    return wire.Span(
        trace_id=context.trace_id.to_bytes(16, "big"),
        span_id=context.span_id.to_bytes(8, "big"),
        parent_span_id=parent.span_id.to_bytes(8, "big") if parent else b"",
        name=span.name,
        kind=wire.Span.SpanKind.ValueType(span.kind.value + 1),  # OTLP counts from "unspecified"
        start_time_unix_nano=span.start_time or 0,
        end_time_unix_nano=span.end_time or 0,
        attributes=attributes,
        events=events,
        status=_status(span.status.status_code, span.status.description),
        dropped_attributes_count=span.dropped_attributes,
        dropped_events_count=span.dropped_events,
        flags=REMOTE if parent and parent.is_remote else LOCAL,
    )


def _usual(span: ReadableSpan) -> wire.Span:
    encoded_span: wire.Span = encode_spans([span]).resource_spans[0].scope_spans[0].spans[0]
    return encoded_span


def _attributes(attributes: Attributes) -> list[KeyValue]:
    """Encode plain values.

    Raises:
        KeyError: one of them is something else.
        ValueError: one of them is too large, or no UTF-8; the SDK leaves it out, and nothing else.
    """
    if not attributes:
        return []
    held: Mapping[str, Any] = attributes.copy() if isinstance(attributes, MappingProxyType) else attributes
    return [_attribute(key, value, FIELDS[type(value)]) for key, value in held.items()]


@lru_cache(REMEMBERED)
def _attribute(key: str, value: Any, field: str) -> KeyValue:  # the field, for 1 equals True and 1.0
    said: dict[str, Any] = {field: value}
    return KeyValue(key=key, value=AnyValue(**said))


@lru_cache(REMEMBERED)
def _status(code: StatusCode, description: str | None) -> wire.Status:
    return wire.Status(code=wire.Status.StatusCode.ValueType(code.value), message=description or "")


def _event(event: Event) -> wire.Span.Event:
    return wire.Span.Event(
        name=event.name,
        time_unix_nano=event.timestamp,
        attributes=_attributes(event.attributes),
        dropped_attributes_count=event.dropped_attributes,
    )
