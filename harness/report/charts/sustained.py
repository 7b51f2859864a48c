"""The rate that still meets the limits, against the number of containers: one line an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from markupsafe import Markup

from harness.report import svg
from harness.report.charts import frame
from harness.report.charts.frame import ArmStyle
from harness.report.style import style

HEIGHT, MARGIN = 300.0, 8.0
BOTTOM = HEIGHT - frame.AXIS_HEIGHT
LABEL_HEIGHT, LABEL_WIDTH = 15.0, 130.0
CAPACITY = "all they can do"


def sustained_rates(
    sustained_rps: Mapping[str, Mapping[int, Sequence[float]]],
    styles: Mapping[str, ArmStyle],
    capacity_rps: Mapping[int, float],
) -> Markup:
    """Draw a picture that stands by itself, as a file.

    Args:
        sustained_rps: by arm and number of containers, the rate that each repetition sustained; the line
            goes through their medians, a stroke shows their range.
        styles: of the arms.
        capacity_rps: what so many containers can do: a line to hold the others against.
    """
    right = frame.PLOT_RIGHT - LABEL_WIDTH
    x = svg.Linear(0, max(capacity_rps), frame.LEFT, right)
    y = svg.Linear(0, max(capacity_rps.values()), BOTTOM, frame.TOP)
    parts = [
        frame.y_grid(y, [(tick, f"{tick:g}") for tick in y.ticks()], "requests/s sustained", right),
        svg.line(frame.LEFT, BOTTOM, right, BOTTOM, "axis"),
        *(svg.text(x(agents), BOTTOM + 15, str(agents), "tick", "middle") for agents in sorted(capacity_rps)),
        svg.text(right, BOTTOM + 29, "containers", "axis-title", "end"),
        _line([(x(agents), y(rps)) for agents, rps in sorted(capacity_rps.items())], "line optimum"),
    ]
    ends = [(y(capacity_rps[max(capacity_rps)]), CAPACITY, "value")]
    for arm, by_agents in sustained_rps.items():
        points = [(x(agents), y(median(rates)), rates) for agents, rates in sorted(by_agents.items())]
        stroke = styles[arm].stroke
        parts.append(_line([(px, py) for px, py, _ in points], stroke))
        for px, py, rates in points:
            parts.append(svg.line(px, y(min(rates)), px, y(max(rates)), stroke))
            parts.append(svg.element("circle", cx=px, cy=py, r=4.0, class_=f"dot hue-{styles[arm].hue}"))
        ends.append((points[-1][1], arm, f"fill hue-{styles[arm].hue}"))
    parts += _labels(ends, right + MARGIN)
    label = "Sustained requests/s by number of containers: " + "; ".join(
        f"{arm} " + ", ".join(f"{agents}: {median(rates):.1f}" for agents, rates in sorted(found.items()))
        for arm, found in sustained_rps.items()
    )
    return svg.picture(frame.WIDTH, HEIGHT, label, svg.element("style", style()), *parts)


def _line(points: Sequence[svg.Point], class_: str) -> Markup:
    return svg.element("path", d=svg.path(points), class_=class_)


def _labels(ends: Sequence[tuple[float, str, str]], left: float) -> list[Markup]:
    """Write a name at the end of each line, none over another."""
    parts, taken = [], -LABEL_HEIGHT
    for end, words, class_ in sorted(ends):
        taken = max(end, taken + LABEL_HEIGHT)
        parts.append(svg.text(left, taken + 4, words, class_))
    return parts
