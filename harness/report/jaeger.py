"""`traces.json`: traces in the JSON that Jaeger's page takes as an uploaded file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from harness.records.described import DIALECT
from harness.records.seen import Attribute, Span

UPLOAD_BYTES = 20 * 1024 * 1024
"""Jaeger's page refuses a file larger than this."""
NS_PER_US = 1000
HEAD, TAIL = '{"data":[', '],"left_out":%d}\n'
MOST_LEFT_OUT = 10**9
"""Room is kept for a count of so many digits."""


def to_jaeger(
    traces: Iterable[tuple[Span, ...]], limit_bytes: int = UPLOAD_BYTES, of: int | None = None
) -> str:
    """Write traces as Jaeger JSON.

    Args:
        traces: whole traces, the most telling first; one that was given before is dropped.
        limit_bytes: the file's size; a trace that would not fit any more is left out whole,
            and counted in `left_out`, a key that Jaeger's page passes over.
        of: how many there are; what is not among the first is left out, too. None for those.
    """
    room = limit_bytes - len(HEAD) - len(TAIL % MOST_LEFT_OUT)
    seen: set[str] = set()
    kept: list[str] = []
    for spans in traces:
        if not spans or spans[0].trace_id in seen:
            continue
        seen.add(spans[0].trace_id)
        text = json.dumps(_trace(spans), separators=(",", ":"))
        if len(text) <= room:
            room -= len(text) + 1
            kept.append(text)
    return HEAD + ",".join(kept) + TAIL % (max(of or 0, len(seen)) - len(kept))


def _trace(spans: tuple[Span, ...]) -> dict[str, Any]:
    processes: dict[tuple[str, str | None], str] = {}
    described: dict[str, Any] = {}
    for span in spans:
        key = (span.service, span.instance)
        if key not in processes:
            processes[key] = f"p{len(processes) + 1}"
            instance = {"service.instance.id": span.instance} if span.instance else {}
            described[processes[key]] = {
                "serviceName": span.service,
                "tags": _tags({**instance, **span.resource}),
            }
    return {
        "traceID": spans[0].trace_id,
        "spans": [_span(span, processes[span.service, span.instance]) for span in spans],
        "processes": described,
    }


def _span(span: Span, process: str) -> dict[str, Any]:
    references = (
        [{"refType": "CHILD_OF", "traceID": span.trace_id, "spanID": span.parent_span_id}]
        if span.parent_span_id
        else []
    )
    status: dict[str, Attribute] = {"error": True, "otel.status_code": "ERROR"} if span.error else {}
    if span.status_message:
        status["otel.status_description"] = span.status_message
    scope = {"otel.scope.name": span.scope} if span.scope else {}
    return {
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "operationName": span.name,
        "references": references,
        "startTime": span.start_ns // NS_PER_US,
        "duration": (span.end_ns - span.start_ns) // NS_PER_US,
        "tags": _tags({**span.attributes, "span.kind": span.kind, **scope, **status}),
        "logs": [
            {
                "timestamp": event.time_ns // NS_PER_US,
                "fields": _tags({"event": event.name, **event.attributes}),
            }
            for event in span.events
        ],
        "processID": process,
    }


def _tags(attributes: Mapping[str, Attribute]) -> list[dict[str, Any]]:
    return [_tag(key, value) for key, value in attributes.items()]


def _tag(key: str, value: Attribute) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"key": key, "type": "bool", "value": value}
    if isinstance(value, int):
        return {"key": key, "type": "int64", "value": value}
    if isinstance(value, float) and math.isfinite(value):
        return {"key": key, "type": "float64", "value": value}
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {"key": key, "type": "string", "value": text}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of what `to_jaeger` writes: as much of Jaeger's format as that uses."""
    text, whole = {"type": "string"}, {"type": "integer"}
    id_of = {"type": "string", "pattern": "^[0-9a-f]+$"}
    tags = _listed(_record(key=text, type={"enum": ["bool", "int64", "float64", "string"]}, value=True))
    span = _record(
        traceID=id_of,
        spanID=id_of,
        operationName=text,
        references=_listed(_record(refType={"const": "CHILD_OF"}, traceID=id_of, spanID=id_of)),
        startTime={**whole, "description": "Unix microseconds."},
        duration={**whole, "description": "Microseconds."},
        tags=tags,
        logs=_listed(_record(timestamp=whole, fields=tags)),
        processID=text,
    )
    process = _record(serviceName=text, tags=tags)
    trace = _record(
        traceID=id_of, spans=_listed(span), processes={"type": "object", "additionalProperties": process}
    )
    left_out = {**whole, "minimum": 0, "description": "Traces for which there was no room."}
    whole_file = _record(data=_listed(trace), left_out=left_out)
    return {"$schema": DIALECT, "title": "traces.json: as Jaeger's page takes it by upload", **whole_file}


def _record(**keys: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(keys), "properties": keys}


def _listed(kind: Any) -> dict[str, Any]:
    return {"type": "array", "items": kind}
