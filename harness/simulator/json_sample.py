"""Values that satisfy a JSON schema: what a model fills a tool's arguments and structured answers with.

It reads what such schemas are written with: types, properties, items, enumerations, references, bounds and
formats. Of `pattern` it knows nothing. A schema that makes no sense gives a value that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

DEEPEST = 8
"""Levels down to which optional parts are filled in; beyond, only what must be there."""
MOST_VALUES = 2000
"""Values of one sample; beyond, null stands for each."""
MOST_PARTS = 100_000
"""Of a schema, each as often as it is looked at; beyond, null stands for what it asks for."""
LONGEST_LIST, LONGEST_TEXT = 100, 10_000
MOST_NUMBER, LEAST_STEP = 1e18, 1e-9
"""Bounds of numbers that are heeded: what is beyond can't be reckoned with."""

_FORMATS = {
    "date-time": "2026-01-15T09:30:00Z",
    "date": "2026-01-15",
    "time": "09:30:00Z",
    "duration": "PT30M",
    "email": "agent@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
}
_KINDS = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minLength": "string",
    "pattern": "string",
    "format": "string",
    "minimum": "number",
    "maximum": "number",
}
"""What a schema without a type is about, by a key that it has."""


def sample(schema: Any, name: str) -> Any:
    """Return a value that satisfies a schema, always the same for the same arguments.

    Args:
        schema: a JSON schema, or what a caller sent as one.
        name: hex digits that choices are made by.
    """
    return _Sampler(schema, name).value(schema, 0)


class _Sampler:
    def __init__(self, root: Any, name: str) -> None:
        self._root = root
        self._choice = int(name[:12], 16)
        self._topic = f"topic {name[:6]}"
        self._left = MOST_VALUES
        self._parts_left = MOST_PARTS

    def value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > DEEPEST * 4:
            return None
        if not isinstance(schema, dict):
            return None if schema is False else self._topic
        schema = self._flat(schema, depth)
        schema = schema if self._may_look_at(schema) else {"type": "null"}
        for key in ("anyOf", "oneOf"):
            if isinstance(choices := schema.get(key), list) and choices:
                rest = {name: value for name, value in schema.items() if name != key}
                chosen = self._chosen(choices, depth)
                return self.value(rest | chosen if isinstance(chosen, dict) else chosen, depth + 1)
        if "const" in schema:
            return schema["const"]
        if isinstance(choices := schema.get("enum"), list) and choices:
            return choices[self._choice % len(choices)]
        return self._of_kind(_kind(schema), schema, depth)

    def _of_kind(self, kind: str, schema: Mapping[str, Any], depth: int) -> Any:
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number":
                return _number(schema, whole=kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._text(schema)

    def _may_look_at(self, schema: Mapping[str, Any]) -> bool:
        """Count the parts of a schema; return whether there were not too many before."""
        if self._parts_left < 0:
            return False
        inner = (len(value) for value in schema.values() if isinstance(value, list | dict))
        self._parts_left -= 1 + len(schema) + sum(inner)
        return True

    def _flat(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """Return a schema with what it refers to put in its place; null where that has no end."""
        for _ in range(DEEPEST):
            if depth > DEEPEST * 4 or not self._may_look_at(schema):
                break
            if isinstance(reference := schema.get("$ref"), str):
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = self._found(reference) | rest
            elif isinstance(parts := schema.get("allOf"), list):
                schema = {key: value for key, value in schema.items() if key != "allOf"}
                for part in parts:
                    flat = self._flat(part, depth + 1) if isinstance(part, dict) else {}
                    schema = _joined(schema, flat)
            else:
                return schema
        return {"type": "null"}

    def _found(self, reference: str) -> dict[str, Any]:
        at = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            at = at.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(at, dict) else None
        return at if isinstance(at, dict) else {}

    def _chosen(self, choices: list[Any], depth: int) -> Any:
        """Return the first that says something; deep down, the one that says the least."""
        nothing = [each for each in choices if isinstance(each, dict) and each.get("type") == "null"]
        if depth > DEEPEST and nothing:
            return nothing[0]
        return next((each for each in choices if each not in nothing), choices[0])

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return {} if schema.get("additionalProperties") is False else {"query": self._topic}
        required = schema.get("required")
        names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
        if not names and depth < DEEPEST:
            names = list(properties)
        return {name: self.value(properties.get(name, {}), depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        first = schema.get("prefixItems")
        values = [self.value(each, depth + 1) for each in first] if isinstance(first, list) else []
        least = min(_bound(schema, "minItems", 0), LONGEST_LIST)
        wanted = max(least, 1 if depth < DEEPEST and _bound(schema, "maxItems", 1) else 0)
        items = schema.get("items", {})
        if schema.get("uniqueItems") and isinstance(items, dict) and isinstance(items.get("enum"), list):
            return list(islice(items["enum"], wanted))
        while len(values) < wanted:
            value = self.value(items, depth + 1)
            if schema.get("uniqueItems") and value in values:
                value = f"{value} {len(values)}" if isinstance(value, str) else _next(value, len(values))
            values.append(value)
        return values

    def _text(self, schema: Mapping[str, Any]) -> str:
        text = _FORMATS.get(str(schema.get("format")), self._topic)
        least = min(_bound(schema, "minLength", 0), LONGEST_TEXT)
        if len(text) < least:
            text += "." * (least - len(text))
        return text[: _bound(schema, "maxLength", len(text))]


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if isinstance(kind, str):
        return kind.lower()  # Gemini writes them in capitals
    return next((_KINDS[key] for key in schema if key in _KINDS), "object" if not schema else "string")


def _joined(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return what two schemas ask for together."""
    both = part | schema
    if isinstance(schema.get("properties"), dict) and isinstance(part.get("properties"), dict):
        both["properties"] = part["properties"] | schema["properties"]
    if isinstance(schema.get("required"), list) and isinstance(part.get("required"), list):
        both["required"] = [*part["required"], *schema["required"]]
    return both


def _bound(schema: Mapping[str, Any], name: str, default: int) -> int:
    value = schema.get(name)
    try:
        return max(0, int(value)) if value is not None else default  # Gemini writes them as texts
    except (TypeError, ValueError, OverflowError):
        return default


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    def bound(name: str) -> float | None:
        value = schema.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return value if -MOST_NUMBER <= value <= MOST_NUMBER else None

    low, over = bound("minimum"), bound("exclusiveMinimum")
    high, under = bound("maximum"), bound("exclusiveMaximum")
    step = bound("multipleOf") or 0
    if step < LEAST_STEP:
        step = 1 if whole else 0
    value: float = 1
    if low is not None and value < low:
        value = low
    if over is not None and value <= over:
        value = over + (step or 1)
    if high is not None and value > high:
        value = high
    if under is not None and value >= under:
        value = under - (step or 1)
        if over is not None and value <= over:
            value = (over + under) / 2
    if step:
        value = -(-value // step) * step
    return int(value) if whole else value


def _next(value: Any, number: int) -> Any:
    return value + number if isinstance(value, int | float) and not isinstance(value, bool) else number
