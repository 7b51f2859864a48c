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
INITS: Final = ("cold", "reinit")
"""First builds of a client, and later ones."""
EVENT_TYPE: Final = "asgi.event.type"


def in_names_of_today(span: Span) -> Span:
    """Return a span with status and method under their stable names, the status as a number.

    And one of a client's build with what its name says of it.
    """
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
    if span.name.startswith(contract.SPAN_CLIENT_INIT):
        renamed |= _of_a_build(span)
    return replace(span, attributes={**span.attributes, **renamed}) if renamed else span


def _of_a_build(span: Span) -> dict[str, Attribute]:
    """Return what the span of a client's build leaves to its name: which client, and that it is a first one.

    Only one that says so is in place of a client that was given up.
    """
    name = span.name.removeprefix(contract.SPAN_CLIENT_INIT).strip()
    told: dict[str, Attribute] = {}
    if name and not span.attributes.get(contract.CLIENT_NAME):
        told[contract.CLIENT_NAME] = name
    if span.attributes.get(contract.CLIENT_INIT_STATE) not in INITS:
        told[contract.CLIENT_INIT_STATE] = "cold"
    return told


def is_message(span: Span) -> bool:
    """Whether it tells of one message that a server sent or received: that is no work."""
    return EVENT_TYPE in span.attributes or span.name.endswith(EVENTS)
