"""The control API's page for people: its routes and models, written here, with no outside request."""

from __future__ import annotations

from html import escape
from typing import Any

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em }}
td, th {{ text-align: left; vertical-align: top; padding: .2em 1em .2em 0 }}
</style></head><body><h1>{title}</h1>
<p>All of it, with every model and bound: <a href="/sim/openapi.json">/sim/openapi.json</a>.</p>
<table><tr><th>Call</th><th>Takes</th><th>Gives</th></tr>{rows}</table>
<h2>Models</h2>{models}</body></html>
"""


def page_of(description: dict[str, Any]) -> str:
    """Return the page.

    Args:
        description: the API's, in OpenAPI 3.
    """
    rows = [
        f"<tr><td><code>{method.upper()} {escape(path)}</code></td>"
        f"<td>{escape(_takes(described))}</td>"
        f"<td>{escape(_content(described['responses'].get('200', {})))}</td></tr>"
        for path, methods in description["paths"].items()
        for method, described in methods.items()
    ]
    models = [
        f"<h3 id='{escape(name)}'>{escape(name)}</h3><p>{escape(described.get('description', ''))}</p>"
        f"<ul>{''.join(_field(*each) for each in described.get('properties', {}).items())}</ul>"
        for name, described in description["components"]["schemas"].items()
    ]
    title = escape(description["info"]["title"])
    return _PAGE.format(title=title, rows="".join(rows), models="".join(models))


def _takes(operation: dict[str, Any]) -> str:
    queries = [f"?{parameter['name']}" for parameter in operation.get("parameters", ())]
    return " ".join([*queries, _content(operation.get("requestBody", {}))]).strip()


def _content(described: dict[str, Any]) -> str:
    return _kind(described.get("content", {}).get("application/json", {}).get("schema", {}))


def _field(name: str, schema: dict[str, Any]) -> str:
    return f"<li><code>{escape(name)}</code> {escape(_kind(schema))}</li>"


def _kind(schema: dict[str, Any]) -> str:
    """Name what a schema allows, in short."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if schema.get("type") == "array" and "items" in schema:
        return f"list of {_kind(schema['items'])}"
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    return str(schema.get("const", schema.get("type", "")))
