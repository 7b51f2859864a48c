"""Requests that come by no HTTP: remote calls (gRPC), functions (Lambda), messages of a queue.

Without these, what failed before the Agent began would be no request at all, and no error.
"""

from __future__ import annotations

from typing import Final

from harness.observe.dialects import http, values
from harness.records.observed import Part, Served
from harness.records.seen import Span

GRPC: Final = {
    1: 499,
    2: 500,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    11: 400,
    12: 501,
    13: 500,
    14: 503,
    15: 500,
    16: 401,
}
"""What a status of gRPC is in HTTP, as gRPC's own gateways have it."""
OK: Final = 200
HEALTH: Final = "grpc.health."
MESSAGES: Final = ("messaging.operation.type", "messaging.operation")
WORKS: Final = {"process", "deliver"}
"""What is done with a message; that one was received is no work yet."""
BATCH: Final = "messaging.batch.message_count"
SCHEMES: Final = ("url.scheme", "http.scheme")
SOCKETS: Final = ("ws", "wss", "websocket")
MODEL_API: Final = "gen_ai.operation.name"


def is_several(span: Span) -> bool:
    """Whether a span is of many requests, one after the other: of a WebSocket, or of a batch of messages.

    One that failed is told of as a whole.
    """
    if span.error:
        return False
    if span.kind == "consumer":
        return (values.whole(span, BATCH) or 0) > 1
    schemes = (*SCHEMES, "network.protocol.name", *http.URLS)
    of_socket = any((values.text(span, name) or "").lower().startswith(SOCKETS) for name in schemes)
    return span.kind == "server" and (of_socket or values.status(span) == http.SWITCHED)


def read(span: Span) -> Part | None:
    """Return the request that a span tells of, None where it is none."""
    attributes = span.attributes
    if is_several(span):
        return None
    if span.kind == "consumer":
        if values.text(span, *MESSAGES) not in WORKS:
            return None
    elif span.kind != "server" or MODEL_API in attributes or values.text(span, *http.METHODS) is not None:
        return None  # what has a method, and is no request to the dialect of HTTP, is a probe
    elif "rpc.system" not in attributes and not any(name.startswith("faas.") for name in attributes):
        return None
    if (values.text(span, "rpc.service") or span.name).startswith(HEALTH):
        return None
    code = values.whole(span, "rpc.grpc.status_code", "rpc.response.status_code")
    status, error = None if code is None else GRPC.get(code, OK), values.error(span)
    bad = status is not None and status >= http.FAILED_FROM
    return Served(
        error=error or (str(status) if bad else None),
        status=status,
        session=values.text(span, *http.SESSIONS),
    )
