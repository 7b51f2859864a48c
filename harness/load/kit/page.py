"""The panel as a page of its own, where traces are links: Locust's tabs show plain text only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment

PAGE = Environment(autoescape=True).from_string("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2"><title>agentrig</title>
<style>
 body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
 table { border-collapse: collapse; width: 100% } th, td { padding: .3rem .6rem; text-align: left }
 tr { border-bottom: 1px solid #8884 } td { font-variant-numeric: tabular-nums }
 :root { color-scheme: light dark }
</style></head><body><h1>agentrig</h1>
{% for title, columns, rows in tables %}
<h2>{{ title }}</h2>
<table><thead><tr>{% for text in columns.values() %}<th scope="col">{{ text }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr>{% for name in columns %}
<td>{% set value = row[name] %}{% if value is none %}{% elif name == "trace" and value.startswith("http") %}
<a href="{{ value }}">{{ value.rpartition("/")[2] }}</a>{% elif value is float %}{{ value | round(1) }}
{% else %}{{ value }}{% endif %}</td>{% endfor %}</tr>{% endfor %}</tbody></table>
{% else %}<p>No test has been started yet.</p>{% endfor %}
</body></html>
""")
Table = tuple[str, Mapping[str, str], Sequence[Mapping[str, Any]]]


def render(tables: Sequence[Table]) -> str:
    """Return the page.

    Args:
        tables: title, columns (name to heading) and rows of each.
    """
    return PAGE.render(tables=tables)
