"""The request that a shape makes of a prompt. Values go in as values: they can't change its form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from harness.under_test import ASKED_PLACE, HttpRequest, RequestShape, filled

JSON_TYPE: Final = "application/json"
FORM_TYPE: Final = "application/x-www-form-urlencoded"
EVENT_STREAM: Final = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, made up.

    Attributes:
        method: of HTTP.
        target: path and query.
        body: empty for none.
    """

    method: str
    target: str
    body: bytes


def asked(request: HttpRequest, values: Mapping[str, str]) -> Asked:
    """Fill the places of a request: quoted in its path, escaped in a query, a form and JSON.

    Args:
        request: with places.
        values: what each stands for, by the names in `under_test.ASKED_PLACES`.
    """
    path = filled(request.path, {name: quote(value, safe="") for name, value in values.items()})
    query = urlencode(filled_in(dict(request.query), values))
    return Asked(request.method, f"{path}?{query}" if query else path, body_of(request, values))


def body_of(request: HttpRequest, values: Mapping[str, str]) -> bytes:
    """Return the body of a request; empty for none."""
    if request.form:
        return urlencode(filled_in(dict(request.form), values)).encode()
    return b"" if request.body is None else json.dumps(filled_in(request.body, values)).encode()


def filled_in(template: Any, values: Mapping[str, str]) -> Any:
    """Return a JSON value with the places in its strings filled; its keys stay as they are."""
    match template:
        case str():
            return filled(template, values)
        case Mapping():
            return {key: filled_in(each, values) for key, each in template.items()}
        case list() | tuple():
            return [filled_in(each, values) for each in template]
        case _:
            return template


def headers_of(shape: RequestShape, request: HttpRequest) -> dict[str, str]:
    """Return the headers that are the same in each request, as written: `${NAME}` still stands in them."""
    kind = FORM_TYPE if request.form else JSON_TYPE
    content = {"Content-Type": kind} if request.form or request.body is not None else {}
    return content | {"Accept": EVENT_STREAM if shape.stream else JSON_TYPE} | dict(shape.headers)


def places_of(value: Any) -> list[str]:
    """Return the places in the strings of a JSON value."""
    match value:
        case str():
            return [found[2] for found in ASKED_PLACE.finditer(value) if found[2]]
        case Mapping():
            return [place for each in value.values() for place in places_of(each)]
        case list() | tuple():
            return [place for each in value for place in places_of(each)]
        case _:
            return []


def carries_session(shape: RequestShape) -> bool:
    """Return whether an agent is told which session a request belongs to."""
    request = shape.request
    places = places_of([request.path, dict(request.query), dict(request.form), request.body])
    return bool(shape.session_header) or "session" in places
