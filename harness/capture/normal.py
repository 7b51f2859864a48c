"""OTLP/JSON of others, made regular: a span has what it needs in its one form, and what is none is left out.

The specification lets senders write much in several ways, and says that a receiver has to take the rest of a
request whose one span is no good. So nothing here raises.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

Json = dict[str, Any]

KINDS: Final = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUSES: Final = ("UNSET", "OK", "ERROR")
TRACE_ID_CHARS: Final = 32
SPAN_ID_CHARS: Final = 16
HEX: Final = "0123456789abcdef"
MOST_NS: Final = 2**64
MOST_INT: Final = 2**63
MOST_DIGITS: Final = 20
MOST_DEPTH: Final = 32
"""Lists and maps in one another that a value may have; what lies deeper is left out."""
NUMBERS: Final = frozenset({"NaN", "Infinity", "-Infinity"})
"""The words of protobuf's JSON for what JSON can't write."""
COUNTS: Final = ("flags", "droppedAttributesCount", "droppedEventsCount", "droppedLinksCount")


def regular(request: Any) -> tuple[list[Json], int]:
    """Return the `resourceSpans` of a request, and how many of its spans were left out.

    Args:
        request: what JSON said, whatever that is.
    """
    left_out = 0
    resources: list[Json] = []
    for entry in tables(request, "resourceSpans"):
        scopes: list[Json] = []
        for scope in tables(entry, "scopeSpans"):
            asked = scope.get("spans")
            spans = [span for span in map(regular_span, as_list(asked)) if span is not None]
            left_out += len(as_list(asked)) - len(spans)
            scopes.append({"scope": _scope(table(scope.get("scope"))), "spans": spans} | _schema(scope))
        resource = {"attributes": regular_attributes(table(entry.get("resource")))}
        resources.append({"resource": resource, "scopeSpans": scopes} | _schema(entry))
    return resources, left_out


def regular_span(given: Any) -> Json | None:
    """Return a span in its regular form, None for what is none."""
    span = table(given)
    trace_id = hex_id(span.get("traceId"), TRACE_ID_CHARS)
    span_id = hex_id(span.get("spanId"), SPAN_ID_CHARS)
    start_ns, end_ns = instant_ns(span.get("startTimeUnixNano")), instant_ns(span.get("endTimeUnixNano"))
    if not (trace_id and span_id and start_ns and end_ns):
        return None
    status = table(span.get("status"))
    code, message = enum(status.get("code"), "STATUS_CODE_", STATUSES), text(status.get("message"))
    events, links = list(regular_events(span)), list(_links(span))
    return {
        "traceId": trace_id,
        "spanId": span_id,
        "name": text(span.get("name")),
        "kind": enum(span.get("kind"), "SPAN_KIND_", KINDS),
        "startTimeUnixNano": str(start_ns),
        "endTimeUnixNano": str(end_ns),
        "attributes": regular_attributes(span),
        "status": ({"code": code} if code else {}) | ({"message": message} if message else {}),
        **({"parentSpanId": parent} if (parent := hex_id(span.get("parentSpanId"), SPAN_ID_CHARS)) else {}),
        **({"traceState": state} if (state := text(span.get("traceState"))) else {}),
        **({"events": events} if events else {}),
        **({"links": links} if links else {}),
        **{name: count for name in COUNTS if (count := _whole(span.get(name)))},
    }


def regular_events(span: Json) -> Iterator[Json]:
    """Yield the events of a span that have a time."""
    for event in tables(span, "events"):
        if time_ns := instant_ns(event.get("timeUnixNano")):
            name, attributes = text(event.get("name")), regular_attributes(event)
            yield {"timeUnixNano": str(time_ns), "name": name, "attributes": attributes}


def _links(span: Json) -> Iterator[Json]:
    for link in tables(span, "links"):
        trace_id, span_id = (
            hex_id(link.get("traceId"), TRACE_ID_CHARS),
            hex_id(link.get("spanId"), SPAN_ID_CHARS),
        )
        if trace_id and span_id:
            yield {"traceId": trace_id, "spanId": span_id, "attributes": regular_attributes(link)}


def _scope(scope: Json) -> Json:
    flat: Json = {"name": text(scope.get("name"))}
    if version := text(scope.get("version")):
        flat["version"] = version
    if attributes := regular_attributes(scope):
        flat["attributes"] = attributes
    return flat


def _schema(entry: Json) -> Json:
    url = text(entry.get("schemaUrl"))
    return {"schemaUrl": url} if url else {}


# --- values ----------------------------------------------------------------------------
def regular_attributes(holder: Json, name: str = "attributes", depth: int = 0) -> list[Json]:
    """Return the attributes that have a name."""
    return [
        {"key": entry["key"], "value": regular_value(entry.get("value"), depth)}
        for entry in tables(holder, name)
        if isinstance(entry.get("key"), str)
    ]


def regular_value(given: Any, depth: int) -> Json:
    """Return a value, an empty one for what is none."""
    if isinstance(given, dict) and len(given) == 1 and isinstance(given.get("stringValue"), str):
        return given  # what most are; it is regular
    for kind, content in table(given).items():
        if kind == "arrayValue" and depth < MOST_DEPTH:
            values = as_list(table(content).get("values"))
            return {"arrayValue": {"values": [regular_value(value, depth + 1) for value in values]}}
        if kind == "kvlistValue" and depth < MOST_DEPTH:
            return {"kvlistValue": {"values": regular_attributes(table(content), "values", depth + 1)}}
        if (read := SCALARS.get(kind)) is not None and (scalar := read(content)) is not None:
            return {kind: scalar}
    return {}


def _int(given: Any) -> str | None:
    number = _whole(given, signed=True)
    return str(number) if number is not None and -MOST_INT <= number < MOST_INT else None


def _double(given: Any) -> float | str | None:
    if isinstance(given, int | float) and not isinstance(given, bool):
        try:
            number = float(given)
        except OverflowError:
            return None
        return number if number - number == 0 else None  # infinite ones are written as words
    return given if isinstance(given, str) and given in NUMBERS else None


SCALARS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "stringValue": lambda given: given if isinstance(given, str) else None,
    "bytesValue": lambda given: given if isinstance(given, str) else None,
    "boolValue": lambda given: given if isinstance(given, bool) else None,
    "intValue": _int,
    "doubleValue": _double,
}


def instant_ns(given: Any) -> int:
    """Return an instant, 0 for none."""
    number = _whole(given)
    return number if number is not None and number < MOST_NS else 0


def _whole(given: Any, *, signed: bool = False) -> int | None:
    """Return a whole number, which may be written as a text; None for none."""
    if isinstance(given, str) and len(given) <= MOST_DIGITS:
        digits = given.removeprefix("-") if signed else given
        return int(given) if digits.isascii() and digits.isdigit() else None
    fits = isinstance(given, int) and not isinstance(given, bool) and (signed or given >= 0)
    return given if fits else None


def enum(given: Any, prefix: str, names: Sequence[str]) -> int:
    """Return a value of an enumeration by its number or its name; 0 for one that there isn't."""
    if isinstance(given, str):
        name = given.removeprefix(prefix)
        return names.index(name) if name in names else 0
    number = _whole(given)
    return number if number is not None and number < len(names) else 0


def hex_id(given: Any, chars: int) -> str:
    """Return an id in lower-case hex, nothing for none.

    Protobuf's own JSON has it in base64, which some stores send; that is longer, and ends otherwise.
    """
    told = given.lower() if isinstance(given, str) and len(given) == chars else ""
    if isinstance(given, str) and given.endswith("=") and len(given) == 4 * -(-chars // 6):
        with contextlib.suppress(ValueError):
            told = base64.b64decode(given, validate=True).hex()
    return told if len(told) == chars and not told.strip(HEX) and told.strip("0") else ""


def text(given: Any) -> str:
    """Return a text, an empty one for what is none."""
    return given if isinstance(given, str) else ""


def table(given: Any) -> Json:
    """Return an object of JSON, an empty one for what is none."""
    return given if isinstance(given, dict) else {}


def as_list(given: Any) -> list[Any]:
    """Return a list, an empty one for what is none."""
    return given if isinstance(given, list) else []


def tables(holder: Any, name: str) -> list[Json]:
    """Return the objects in a list that an object has by some name."""
    return [entry for entry in as_list(table(holder).get(name)) if isinstance(entry, dict)]
