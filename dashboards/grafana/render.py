"""Turns the records of a dashboard into the JSON that Grafana loads.

Written out by hand: the format is data, and this page makes all of it, with no SDK between to be kept up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dashboards.grafana.model import Dashboard, Link, Panel, Query, Variable

Json = dict[str, Any]
COLUMNS, HEIGHT, STAT_HEIGHT = 24, 8, 4
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
JAEGER = Variable(name="jaeger", label="Jaeger's page", default="http://localhost:16686")
CONTAINER = Variable(name="container", label="container", query="label_values(agentrig_inflight, instance)")


def dashboard(told: Dashboard) -> Json:
    """Return a dashboard as Grafana's provisioning reads it."""
    variables = (*((CONTAINER,) if told.of_containers else ()), *told.variables, JAEGER)
    return {
        "uid": f"agentrig-{told.name}",
        "title": told.title,
        "description": told.description,
        "tags": ["agentrig"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,  # one crosshair over all panels
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [_other_dashboards()],
        "templating": {"list": [_source(), *map(_variable, variables)]},
        "panels": list(_panels(told.panels)),
    }


def _panels(panels: tuple[Panel, ...]) -> Iterator[Json]:
    """Yield the panels from left to right, and a line on where one is full."""
    x = y = line_height = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > COLUMNS:
            x, y = 0, y + line_height
        line_height = STAT_HEIGHT if panel.kind == "stat" else HEIGHT
        yield _panel(number, panel, {"x": x, "y": y, "w": panel.width, "h": line_height})
        x += panel.width


def _panel(number: int, panel: Panel, place: Json) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    custom: Json = {"fillOpacity": 8, "lineWidth": 2, "showPoints": "never"}
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
        custom["thresholdsStyle"] = {"mode": "line"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit.value,
                "min": 0,
                "thresholds": {"mode": "absolute", "steps": steps},
                "custom": custom if panel.kind == "timeseries" else {},
            },
            "overrides": [],
        },
        "options": _options(panel.kind),
        "links": [_link(panel.link)] if panel.link else [],
        "targets": [_target(letter, query) for letter, query in zip("ABCDEF", panel.queries, strict=False)],
    }


def _options(kind: str) -> Json:
    if kind == "stat":
        return {"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _target(letter: str, query: Query) -> Json:
    return {
        "refId": letter,
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "exemplar": query.exemplars,
        "range": True,
        "instant": False,
    }


def _link(link: Link) -> Json:
    search = f"service={link.service}&start=${{__from}}000&end=${{__to}}000&limit=20&{link.search}"
    return {"title": link.title, "url": f"${{jaeger}}/search?{search}", "targetBlank": True}


def _other_dashboards() -> Json:
    return {
        "type": "dashboards",
        "title": "agentrig",
        "tags": ["agentrig"],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
    }


def _source() -> Json:
    return {"name": "datasource", "label": "data source", "type": "datasource", "query": "prometheus"}


def _variable(variable: Variable) -> Json:
    named: Json = {"name": variable.name, "label": variable.label}
    if variable.query is None:
        chosen = {"text": variable.default, "value": variable.default}
        return {**named, "type": "textbox", "query": variable.default, "current": chosen}
    return {
        **named,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "refresh": 2,  # with the time range: containers come and go
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
    }
