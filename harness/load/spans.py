"""The caller's spans, made from its rows: the roots of the traces, which nobody else has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from harness import contract
from harness.records.sent import RequestRow

SCOPE = "agentrig.load"
INSTANCE = "locust-1"
NAMELESS: Final[Mapping[str, str]] = MappingProxyType({})


def client_spans(rows: Iterable[RequestRow], containers: Mapping[str, str] = NAMELESS) -> bytes:
    """Return an OTLP `ExportTraceServiceRequest` with a CLIENT span per row, as protobuf.

    Args:
        rows: what the client saw.
        containers: their names, by their addresses.
    """
    resource = Resource(
        attributes=_key_values(
            {
                contract.SERVICE_NAME: contract.SERVICE_LOAD,
                contract.INSTANCE_ID: INSTANCE,
                contract.ONE_CLOCK: contract.LOOPBACK,
            }
        )
    )
    spans = ScopeSpans(scope=InstrumentationScope(name=SCOPE), spans=[_span(row, containers) for row in rows])
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[spans])]
    )
    return bytes(request.SerializeToString())


def _span(row: RequestRow, containers: Mapping[str, str]) -> Span:
    return Span(
        trace_id=bytes.fromhex(row.trace_id),
        span_id=bytes.fromhex(row.span_id),
        name=f"{row.experiment} / {row.arm}",
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=round(row.sent_s * 1e9),
        end_time_unix_nano=round(row.end_s * 1e9),
        attributes=_key_values(_attributes(row, containers)),
        status=Status() if row.ok else Status(code=Status.STATUS_CODE_ERROR, message=row.error or ""),
    )


def _attributes(row: RequestRow, containers: Mapping[str, str]) -> dict[str, str | int | float]:
    attributes: dict[str, str | int | float] = {
        "http.request.method": "POST",
        "url.template": contract.INVOCATIONS,
        "http.response.body.size": row.body_bytes,
        "session.id": row.session_id,
        contract.EXPERIMENT: row.experiment,
        contract.ARM: row.arm,
        contract.REQUEST_INDEX: row.index,
        contract.REQUEST_ID: row.request_id,
        contract.REQUEST_PHASE: row.phase,
        contract.REQUEST_LATENESS_S: row.lateness_s,
        contract.REQUEST_OK: row.ok,
    }
    if row.status:
        attributes[contract.STATUS_CODE] = row.status
    if not row.ok:
        attributes[contract.ERROR_TYPE] = row.error_type or str(row.status)
    if row.upstream is not None:
        attributes[contract.UPSTREAM] = row.upstream
        if row.upstream in containers:
            attributes[contract.UPSTREAM_NAME] = containers[row.upstream]
    return attributes


def _key_values(attributes: Mapping[str, str | int | float]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in attributes.items()]


def _any_value(value: str | float) -> AnyValue:
    match value:
        case str():
            return AnyValue(string_value=value)
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case _:
            return AnyValue(double_value=value)
