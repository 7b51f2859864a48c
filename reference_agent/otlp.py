"""Spans as OTLP bytes, written directly: half the cost of building protobuf objects first.

What an agent's spans consist of is written here; a span with anything else (links, lists, a vendor's
trace state) is left to the stock encoder, which also writes resources and scopes.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext
from typing_extensions import override

LONGEST_KEPT: Final = 64
"""Longer words are encoded anew each time: the kept ones must not become a store of prompts."""
MOST_KEPT: Final = 2048
MASK_64: Final = 2**64 - 1
HAS_IS_REMOTE, IS_REMOTE = 0x100, 0x200

# Field number and wire type, as in opentelemetry/proto: (number << 3) | (0 varint, 1 64 bits, 2 bytes).
TIMES = struct.Struct("<BQBQ")
EVENT_TIME = struct.Struct("<BQ")
DOUBLE = struct.Struct("<Bd")
FLAGS = struct.Struct("<HI")


class LeanSpanExporter(OTLPSpanExporter):
    """The stock exporter, its settings and its retries, over bytes that are written here."""

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        sent = self._client.export(encoded(spans))
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE


class UnusualError(Exception):
    """The span holds what only the stock encoder writes."""


def encoded(spans: Sequence[ReadableSpan]) -> bytes:
    """Return an `ExportTraceServiceRequest` of the spans: one `ResourceSpans` for each scope."""
    groups: defaultdict[Any, list[ReadableSpan]] = defaultdict(list)
    for span in spans:
        groups[span.resource, span.instrumentation_scope].append(span)
    return b"".join(_chunk(0x0A, _resource_spans(group)) for group in groups.values())


def _resource_spans(group: Sequence[ReadableSpan]) -> bytes:
    stock = encode_spans(group[:1]).resource_spans[0]
    del stock.scope_spans[0].spans[:]
    scope: bytes = stock.scope_spans[0].SerializeToString()
    del stock.scope_spans[:]
    head: bytes = stock.SerializeToString()
    return head + _chunk(0x12, scope + b"".join(_chunk(0x12, _span(span)) for span in group))


def _span(span: ReadableSpan) -> bytes:
    try:
        return _usual(span)
    except UnusualError:
        stock = encode_spans([span]).resource_spans[0].scope_spans[0].spans[0]
        written: bytes = stock.SerializeToString()
        return written


def _usual(span: ReadableSpan) -> bytes:
    context, parent = span.context, span.parent
    dropped = span.dropped_attributes or span.dropped_events
    if context is None or context.trace_state or span.links or dropped:
        raise UnusualError
    written = [
        b"\x0a\x10",
        context.trace_id.to_bytes(16, "big"),
        b"\x12\x08",
        context.span_id.to_bytes(8, "big"),
    ]
    if parent is not None:
        written += b"\x22\x08", parent.span_id.to_bytes(8, "big")
    written += (
        _chunk(0x2A, span.name.encode()),
        bytes((0x30, span.kind.value + 1)),
        TIMES.pack(0x39, span.start_time or 0, 0x41, span.end_time or 0),
        _attributes(0x4A, span.attributes),
    )
    written += [_chunk(0x5A, _event(event)) for event in span.events]
    status = b"" if span.status.description is None else _chunk(0x12, span.status.description.encode())
    if span.status.status_code.value:
        status += bytes((0x18, span.status.status_code.value))
    written += _chunk(0x7A, status), FLAGS.pack(0x0185, _flags(parent))
    return b"".join(written)


def _flags(parent: SpanContext | None) -> int:
    return HAS_IS_REMOTE | (IS_REMOTE if parent is not None and parent.is_remote else 0)


def _event(event: Event) -> bytes:
    if event.dropped_attributes:
        raise UnusualError
    name = _chunk(0x12, event.name.encode())
    return EVENT_TIME.pack(0x09, event.timestamp) + name + _attributes(0x1A, event.attributes)


def _attributes(tag: int, attributes: Mapping[str, Any] | None) -> bytes:
    if not attributes:
        return b""
    return b"".join(
        [
            _pair.__wrapped__(tag, key, value)
            if isinstance(value, str) and len(value) > LONGEST_KEPT
            else _pair(tag, key, value)
            for key, value in attributes.items()
        ]
    )


@lru_cache(maxsize=MOST_KEPT, typed=True)
def _pair(tag: int, key: str, value: object) -> bytes:
    """Return a `KeyValue` with its field's tag."""
    if isinstance(value, str):
        any_value = _chunk(0x0A, value.encode(errors="replace"))
    elif isinstance(value, bool):
        any_value = bytes((0x10, value))
    elif isinstance(value, int):
        any_value = b"\x18" + _varint(value & MASK_64)
    elif isinstance(value, float):
        any_value = DOUBLE.pack(0x21, value)
    else:
        raise UnusualError
    return _chunk(tag, _chunk(0x0A, key.encode()) + _chunk(0x12, any_value))


def _chunk(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    if number < 0x80:  # noqa: PLR2004 - one byte holds seven bits
        return bytes((number,))
    written = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - the same
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
