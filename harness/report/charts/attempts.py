"""Model attempts over time: first ones, and the retries stacked on them. A herd is a spike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from markupsafe import Markup

from harness.records import ArmSeries
from harness.report import svg, words
from harness.report.charts import frame
from harness.report.charts.frame import Look

HEIGHT = 170.0
BOTTOM = HEIGHT - frame.AXIS_HEIGHT
MOST_BINS = 420
"""A bin of one pixel can just be seen."""
BINS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Widths; a herd is judged in bins of 0.1 s, so that is the first choice."""
Bins = list[tuple[int, int]]
"""(first attempts, retries) of each bin."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The bins: their width and the end of the last, in seconds; `top` attempts are full height."""

    width_s: float
    end_s: float
    top: int = 1


def grid(series: Iterable[ArmSeries]) -> Grid:
    """Choose bins that fit every arm."""
    every = tuple(series)
    last_s = max((0.0, *(time_s for s in every for time_s, _, _ in s.attempts)))
    width_s = next((width for width in BINS_S if last_s / width <= MOST_BINS), BINS_S[-1])
    bins = Grid(width_s, (int(last_s / width_s) + 1) * width_s)
    return replace(bins, top=max((sum(pair) for s in every for pair in binned(s, bins)), default=1) or 1)


def binned(drawn: ArmSeries, bins: Grid) -> Bins:
    """Count attempts per bin."""
    counted = [[0, 0] for _ in range(round(bins.end_s / bins.width_s))]
    for time_s, attempt, _ in drawn.attempts:
        number = min(max(int(time_s / bins.width_s), 0), len(counted) - 1)
        counted[number][attempt > 1] += 1
    return [(first, retries) for first, retries in counted]


def attempts(drawn: ArmSeries, look: Look, bins: Grid) -> Markup | None:
    """Draw an arm's attempts; None when no model was called. All arms of an experiment share `bins`."""
    if not drawn.attempts:
        return None
    counted = binned(drawn, bins)
    x = svg.Linear(0, bins.end_s, frame.LEFT, frame.PLOT_RIGHT)
    y = svg.Linear(0, bins.top, BOTTOM, frame.TOP)
    step = max(1.0, svg.round_step(bins.top / 4))
    marks = [(step * n, words.number(step * n)) for n in range(int(bins.top / step) + 1)]
    ticks = [(value, words.number(round(value, 6))) for value in x.ticks()]
    parts = [
        frame.y_grid(y, marks, f"attempts per {words.quantity(round(bins.width_s * 1000), 'ms')}"),
        *_bars([(0, first) for first, _ in counted], x, y, bins.width_s, "fill first"),
        *_bars([(first, first + again) for first, again in counted], x, y, bins.width_s, look.fill),
        frame.x_axis(x, ticks, BOTTOM, "seconds since the load began"),
    ]
    label = f"{look.name}: model attempts over time, n = {len(drawn.attempts):,}"
    return svg.picture(frame.WIDTH, HEIGHT, label, *parts)


def _bars(
    spans: Iterable[tuple[int, int]], x: svg.Linear, y: svg.Linear, width_s: float, class_: str
) -> Iterable[Markup]:
    """Draw all bars as one path: hundreds of elements would only make the page slow."""
    boxes = [
        svg.path(
            [
                (x(n * width_s), y(low)),
                (x(n * width_s), y(high)),
                (x((n + 1) * width_s), y(high)),
                (x((n + 1) * width_s), y(low)),
            ]
        )
        + "Z"
        for n, (low, high) in enumerate(spans)
        if high > low
    ]
    return [svg.element("path", d="".join(boxes), class_=class_)] if boxes else []
