"""The one plot of a plan: p99 against the rate, for several fleet sizes, with the knee of each marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from harness.plan.asked import Answer
from harness.plan.estimate import Point
from harness.report import svg
from harness.report.charts import frame
from harness.report.style import style

HEIGHT: Final = 300.0
BOTTOM: Final = HEIGHT - frame.AXIS_HEIGHT
RIGHT: Final = frame.PLOT_RIGHT - 70.0
HUES: Final = ("b", "a", "c")
"""Of fleets that are smaller than the planned one, of it, and of larger ones."""
ABOVE: Final = 2.0
"""The plot ends at so many times the limit: what is beyond the cliff only has to be seen to rise."""


def picture(found: Answer) -> Markup:
    """Draw a picture that stands by itself; the numbers are in the page's table as well."""
    top_s = ABOVE * found.asked.promise.p99_s
    points = [point for curve in found.curves.values() for point in curve]
    least_s = min(point.figures.p99_s for point in points)
    most_rps = 1.02 * max(*(point.rate_rps for point in points), *found.knees.values())
    limit_s = found.asked.promise.p99_s
    x = svg.Linear(0, most_rps, frame.LEFT, RIGHT)
    y = svg.log_scale([least_s, top_s], BOTTOM, frame.TOP)
    limit_y, asked_x = y(limit_s), x(min(found.asked.rate_rps, most_rps))
    parts = [
        frame.y_grid(y, [(tick, _seconds(tick)) for tick in y.ticks()], "p99", RIGHT),
        svg.line(frame.LEFT, BOTTOM, RIGHT, BOTTOM, "axis"),
        *(svg.text(x(tick), BOTTOM + 15, f"{tick:g}", "tick", "middle") for tick in x.ticks()),
        svg.text(RIGHT, BOTTOM + 29, "requests/s that arrive", "axis-title", "end"),
        svg.line(frame.LEFT, limit_y, RIGHT, limit_y, "line optimum dashed"),
        svg.text(frame.LEFT + 4, limit_y - 4, f"limit {_seconds(limit_s)}", "value"),
        svg.line(asked_x, frame.TOP, asked_x, BOTTOM, "begins"),
        svg.text(asked_x + 3, frame.TOP + 9, "asked", "phase"),
    ]
    for size, curve in found.curves.items():
        hue = HUES[1 + (size > _planned(found)) - (size < _planned(found))]
        knee_rps = found.knees[size]
        seen = [(point.rate_rps, point.figures.p99_s) for point in _seen(curve, y.high)]
        line = sorted([*seen, (knee_rps, limit_s)])
        place = [(x(rate_rps), y(min(p99_s, y.high))) for rate_rps, p99_s in line]
        parts.append(svg.element("path", d=svg.path(place), class_=f"line hue-{hue}"))
        knee_title = svg.element("title", f"{size} containers: up to {knee_rps:.3g} requests/s")
        knee_x = x(knee_rps)
        parts.append(svg.element("circle", knee_title, cx=knee_x, cy=limit_y, r=4.0, class_=f"dot hue-{hue}"))
        parts.append(svg.text(knee_x, limit_y - 10, str(size), f"fill hue-{hue}", "middle"))
    parts.append(svg.text(frame.PLOT_RIGHT, limit_y - 10, "containers", "axis-title", "end"))
    label = "p99 against requests/s; knees: " + "; ".join(
        f"{size} containers {knee:.3g}/s" for size, knee in found.knees.items()
    )
    return svg.picture(frame.WIDTH, HEIGHT, label, svg.element("style", style()), *parts)


def _planned(found: Answer) -> int:
    return found.best.fleet.containers if found.best and found.best.fleet else 0


def _seen(curve: Sequence[Point], high_s: float) -> Sequence[Point]:
    """Return the points up to the first beyond the plot, that one included."""
    for number, point in enumerate(curve, start=1):
        if not math.isfinite(point.figures.p99_s) or point.figures.p99_s > high_s:
            return curve[:number]
    return curve


def _seconds(value: float) -> str:
    return f"{value * 1e3:g} ms" if value < 1 else f"{value:g} s"
