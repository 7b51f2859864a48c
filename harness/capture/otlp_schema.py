"""The JSON Schema of OTLP/JSON, made from OpenTelemetry's own message definitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor import (  # type: ignore[import-untyped]  # protobuf - it has no types
    Descriptor,
    FieldDescriptor,
)
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from harness.records.described import DIALECT

TOO_LARGE: Final = ["string", "integer"]
"""Whole numbers of 64 bits: JSON's may not hold them, so they are written as strings."""
KINDS: Final[Mapping[int, str | list[str]]] = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "string",
    FieldDescriptor.TYPE_BOOL: "boolean",
    FieldDescriptor.TYPE_ENUM: ["integer", "string"],
    FieldDescriptor.TYPE_DOUBLE: ["number", "string"],
    FieldDescriptor.TYPE_FLOAT: ["number", "string"],
    FieldDescriptor.TYPE_INT64: TOO_LARGE,
    FieldDescriptor.TYPE_UINT64: TOO_LARGE,
    FieldDescriptor.TYPE_SINT64: TOO_LARGE,
    FieldDescriptor.TYPE_FIXED64: TOO_LARGE,
    FieldDescriptor.TYPE_SFIXED64: TOO_LARGE,
}
"""Of JSON, by the kind of a field."""
IDS: Final = {"trace_id", "span_id", "parent_span_id"}
"""OTLP writes these in hexadecimal, in place of base64."""


def schema() -> dict[str, Any]:
    """Return the schema of a line of `spans.jsonl`."""
    messages: dict[str, Any] = {}
    _describe(TracesData.DESCRIPTOR, messages)
    return {
        "$schema": DIALECT,
        "title": "a line of spans.jsonl: OTLP/JSON, as an OpenTelemetry Collector's file exporter writes it",
        "$ref": f"#/$defs/{TracesData.DESCRIPTOR.name}",
        "$defs": messages,
    }


def _describe(message: Descriptor, messages: dict[str, Any]) -> None:
    if message.name in messages:
        return
    keys: dict[str, Any] = {}
    messages[message.name] = {"type": "object", "properties": keys}  # one that holds itself is there by now
    for field in message.fields:
        one = _kind(field, messages)
        keys[field.json_name] = {"type": "array", "items": one} if field.is_repeated else one


def _kind(field: FieldDescriptor, messages: dict[str, Any]) -> dict[str, Any]:
    if field.message_type is not None:
        _describe(field.message_type, messages)
        return {"$ref": f"#/$defs/{field.message_type.name}"}
    if field.name in IDS:
        return {"type": "string", "pattern": "^[0-9a-fA-F]*$"}
    return {"type": KINDS.get(field.type, "integer")}
