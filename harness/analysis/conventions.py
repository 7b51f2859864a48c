"""Spans as others write them, told in the names of today."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from harness import contract
from harness.records.seen import Attribute, Span

OLD: Final = MappingProxyType({"http.status_code": contract.STATUS_CODE, "http.method": contract.METHOD})
"""Names of the HTTP conventions before they were stable, still the default of many instrumentations."""
EVENTS: Final = (" http send", " http receive", " websocket send", " websocket receive")
"""How ASGI's instrumentation ends the names of the spans that it makes of each message."""
EVENT_TYPE: Final = "asgi.event.type"


def in_names_of_today(span: Span) -> Span:
    """Return a span with status and method under their stable names, the status as a number."""
    renamed: dict[str, Attribute] = {
        new: span.attributes[old]
        for old, new in OLD.items()
        if old in span.attributes and new not in span.attributes
    }
    status = renamed.get(contract.STATUS_CODE, span.attributes.get(contract.STATUS_CODE))
    if isinstance(status, str) and status.isascii() and status.isdigit():
        renamed[contract.STATUS_CODE] = int(status)
    method = renamed.get(contract.METHOD, span.attributes.get(contract.METHOD))
    if isinstance(method, str) and not method.isupper():
        renamed[contract.METHOD] = method.upper()
    return replace(span, attributes={**span.attributes, **renamed}) if renamed else span


def is_message(span: Span) -> bool:
    """Whether it tells of one message that a server sent or received: that is no work."""
    return EVENT_TYPE in span.attributes or span.name.endswith(EVENTS)
