"""The faults that the simulator can serve: one file each, and this explicit registry of them.

`README.md` beside this file tells how to add one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.simulator.faults import (
    auth,
    bad_chunk,
    bad_gateway,
    bad_request,
    body_truncated,
    conn_reset,
    content_filter,
    content_filter_200,
    context_length,
    daily_quota,
    eof_clean,
    error_event,
    failed_event,
    forbidden,
    gateway_error_event,
    gateway_timeout,
    html_body,
    invalid_json,
    model_not_found,
    model_not_ready,
    model_timeout,
    overloaded,
    payload_too_large,
    quota_exhausted,
    rate_limit_requests,
    rate_limit_tokens,
    reset,
    server_error,
    slow_down,
    slow_first_chunk,
    slow_stream,
    stall,
    stall_before_headers,
)
from harness.simulator.faults.fault import Fault

_ALL: tuple[Fault, ...] = (
    # transient
    rate_limit_requests.FAULT,
    rate_limit_tokens.FAULT,
    slow_down.FAULT,
    overloaded.FAULT,
    server_error.FAULT,
    bad_gateway.FAULT,
    gateway_timeout.FAULT,
    model_not_ready.FAULT,
    model_timeout.FAULT,
    conn_reset.FAULT,
    stall_before_headers.FAULT,
    body_truncated.FAULT,
    # permanent
    quota_exhausted.FAULT,
    daily_quota.FAULT,
    auth.FAULT,
    forbidden.FAULT,
    bad_request.FAULT,
    context_length.FAULT,
    model_not_found.FAULT,
    payload_too_large.FAULT,
    content_filter.FAULT,
    content_filter_200.FAULT,
    # stream
    slow_first_chunk.FAULT,
    slow_stream.FAULT,
    stall.FAULT,
    reset.FAULT,
    eof_clean.FAULT,
    error_event.FAULT,
    failed_event.FAULT,
    gateway_error_event.FAULT,
    bad_chunk.FAULT,
    # malformed
    invalid_json.FAULT,
    html_body.FAULT,
)

REGISTRY: Mapping[str, Fault] = MappingProxyType({fault.kind: fault for fault in _ALL})
