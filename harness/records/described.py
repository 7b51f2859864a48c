"""JSON Schemas of records: what a docstring says of an attribute stands beside its key."""

from __future__ import annotations

import re
from typing import Any, Final

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SECTION: Final = re.compile(r"\n\s*\n\s*Attributes:\n(.*?)(?:\n\s*\n|\Z)", re.DOTALL)
ENTRY: Final = re.compile(r"^ {4}(\w[\w, ]*): (.*(?:\n {5,}.*)*)", re.MULTILINE)
TWO: Final = re.compile(r"; (\w+): ")
"""Two attributes that stand in one line."""


def explained(schema: Any) -> Any:
    """Return a schema in which each key of an object has what the object's description says of it."""
    if isinstance(schema, list):
        return [explained(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: explained(value) for key, value in schema.items()}
    text, keys = made.get("description"), made.get("properties")
    if isinstance(text, str) and isinstance(keys, dict):
        for name, said in attributes(text).items():
            if isinstance(keys.get(name), dict):
                keys[name].setdefault("description", said)
        made["description"] = SECTION.sub("\n", text).strip()
    return made


def attributes(docstring: str) -> dict[str, str]:
    """Return what a docstring says of each attribute, by name."""
    found = SECTION.search(docstring)
    said: dict[str, str] = {}
    for names, text in ENTRY.findall(found.group(1)) if found else ():
        first, *rest = TWO.split(" ".join(text.split()))
        for name in names.split(", "):
            said[name] = first
        said |= dict(zip(rest[::2], rest[1::2], strict=True))
    return said
