"""Draws the dashboards from a real run, without Grafana: `python -m docs.pictures.dashboards`.

A fleet starts cold under a throttling storm, which ends after the alert has fired. Every panel is drawn
from what Prometheus answers to the panel's own queries.
"""

from __future__ import annotations

import math
import re
import tempfile
import time
from pathlib import Path

import httpx
from markupsafe import Markup

from dashboards.grafana.__main__ import ALL
from dashboards.grafana.model import Dashboard, Panel, Unit
from docs.pictures.chromium import Page
from harness.report import svg
from harness.report.charts.frame import LEFT, PLOT_RIGHT, TOP, WIDTH, x_axis, y_grid
from tests.e2e.observed_run import filled_in, observed_run, variables
from tests.e2e.prometheus_server import Prometheus

HERE = Path(__file__).parent
CALM_S = 18.0
HEIGHT, BOTTOM = 210.0, 172.0
PAGE_WIDTH, PAGE_HEIGHT, MARGIN = 1120, 600, 20
HUES = ("#0072b2", "#d55e00", "#009e73", "#b0578d", "#b58900", "#8a5a44", "#4f6d7a", "#1b1f24")
HEIGHT_PX = (
    "document.readyState === 'complete' && document.querySelector('main').getBoundingClientRect().bottom"
)
SCALES = {Unit.SHARE: (100.0, " %"), Unit.BYTES: (2.0**-20, " MiB")}
SUFFIXES = {Unit.PER_SECOND: "/s", Unit.SECONDS: " s"}
STYLE = Markup("""
 body { font: 14px/1.45 system-ui, "Liberation Sans", sans-serif; margin: 20px; color: #1b1f24 }
 h1 { font-size: 20px; margin: 0 } p { color: #5a626c; margin: 2px 0 14px }
 main { display: grid; grid-template-columns: repeat(24, 1fr); gap: 12px }
 section { border: 1px solid #dfe3e8; border-radius: 4px; padding: 8px 10px }
 h2 { font-size: 14px; margin: 0 0 4px } .now { font-size: 28px; color: #0072b2 }
 .keys { font-size: 12px } .keys b { font-weight: 400; margin-right: 10px; white-space: nowrap }
 .line { fill: none; stroke-width: 1.8 } .axis { stroke: #7c858f } .grid { stroke: #dfe3e8 }
 .limit { stroke: #b3261e; stroke-dasharray: 4 3 } .tick, .axis-title { font-size: 11px; fill: #5a626c }
""")
Line = tuple[str, list[svg.Point]]


def main() -> None:
    """Take a picture of each dashboard."""
    with tempfile.TemporaryDirectory() as folder, observed_run(Path(folder)) as run:
        _end_the_storm(run)
        time.sleep(CALM_S)
        for name, text in [(told.name, page(told, run)) for told in ALL]:
            file = Path(folder) / f"{name}.html"
            file.write_text(text, "utf-8")
            with Page(PAGE_WIDTH, PAGE_HEIGHT) as shown:
                shown.open(file.as_uri())
                height = shown.wait_for(HEIGHT_PX)
                shown.picture(HERE / f"dashboard-{name}.png", math.ceil(height) + MARGIN)


def _end_the_storm(run: Prometheus) -> None:
    (metrics,) = [
        target["scrapeUrl"]
        for target in run.get("targets")["activeTargets"]
        if target["labels"]["job"] == "simulator"
    ]
    httpx.delete(metrics.replace("/metrics", "/sim/faults"), trust_env=False).raise_for_status()


def page(told: Dashboard, run: Prometheus) -> str:
    """Return a dashboard as a page."""
    panels = Markup().join(_panel(panel, run) for panel in told.panels)
    return Markup(
        "<!doctype html><title>{0}</title><style>{1}</style><h1>{0}</h1><p>{2}</p><main>{3}</main>"
    ).format(told.title, STYLE, told.description, panels)


def _panel(panel: Panel, run: Prometheus) -> Markup:
    found = [line for query in panel.queries for line in _lines(run, query.expr, query.legend)]
    scale, suffix = SCALES.get(panel.unit, (1.0, SUFFIXES.get(panel.unit, "")))
    lines = [(name, [(x, y * scale) for x, y in points]) for name, points in found]
    drawn = _now(lines, suffix) if panel.kind == "stat" else _chart(panel, lines, suffix, scale)
    return Markup('<section style="grid-column: span {}"><h2>{}</h2>{}</section>').format(
        panel.width, panel.title, drawn
    )


def _lines(run: Prometheus, expr: str, legend: str) -> list[Line]:
    found = run.lines(filled_in(expr, variables(run)))
    return [(_named(legend, line["metric"]), _points(line["values"], run.start_s)) for line in found]


def _named(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda label: labels.get(label[1], ""), legend)


def _points(values: list[tuple[float, str]], start_s: float) -> list[svg.Point]:
    return [(when_s - start_s, float(value)) for when_s, value in values if value != "NaN"]


def _now(lines: list[Line], suffix: str) -> Markup:
    (_, points), *_ = lines
    return Markup('<div class="now">{:.3g}{}</div>').format(points[-1][1], suffix)


def _chart(panel: Panel, lines: list[Line], suffix: str, scale: float) -> Markup:
    end_s = max(x for _, points in lines for x, _ in points)
    limits = [] if panel.limit is None else [panel.limit * scale]
    highest = max([*limits, *(y for _, points in lines for _, y in points)]) or 1.0
    across = svg.Linear(0.0, end_s, LEFT, PLOT_RIGHT)
    up = svg.Linear(0.0, highest * 1.05, BOTTOM, TOP)
    parts = [
        y_grid(up, [(tick, f"{tick:.4g}{suffix}") for tick in up.ticks(5)], ""),
        x_axis(across, [(tick, f"{tick:.0f} s") for tick in across.ticks()], BOTTOM, ""),
        *(svg.line(LEFT, up(limit), PLOT_RIGHT, up(limit), "limit") for limit in limits),
        *(
            svg.element(
                "path",
                d=svg.path([(across(x), up(y)) for x, y in points]),
                class_="line",
                stroke=HUES[number % len(HUES)],
            )
            for number, (_, points) in enumerate(lines)
        ),
    ]
    keys = Markup(" ").join(
        Markup('<b style="color: {}">&#9473; {}</b>').format(HUES[number % len(HUES)], name)
        for number, (name, _) in enumerate(lines)
    )
    return svg.picture(WIDTH, HEIGHT - 18, panel.title, *parts) + Markup('<div class="keys">{}</div>').format(
        keys
    )


if __name__ == "__main__":
    main()
