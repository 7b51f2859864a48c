"""Model attempts over time: first ones, and the retries stacked on them. A herd is a spike.

Beneath, on the same scale of time: the attempts that failed, and what the quota had left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from markupsafe import Markup

from harness.records.outcome import ArmSeries
from harness.report import svg, words
from harness.report.charts import frame
from harness.report.charts.frame import ArmStyle

TOP, PLOT, STRIP, GAP = 32.0, 104.0, 24.0, 8.0
BOTTOM = TOP + PLOT
OK = "ok"
"""What the journal says of an attempt that was answered."""
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


def attempts(drawn: ArmSeries, style: ArmStyle, bins: Grid) -> Markup | None:
    """Draw an arm's attempts; None when no model was called. All arms of an experiment share `bins`."""
    if not drawn.attempts:
        return None
    counted = binned(drawn, bins)
    x = svg.Linear(0, bins.end_s, frame.LEFT, frame.PLOT_RIGHT)
    y = svg.Linear(0, bins.top, BOTTOM, TOP)
    step = max(1.0, svg.round_step(bins.top / 4))
    marks = [(step * n, words.number(step * n)) for n in range(int(bins.top / step) + 1)]
    strips = [strip for strip in (_failed(drawn, bins, x), _quota(drawn, x)) if strip]
    bottom = BOTTOM + len(strips) * (STRIP + GAP)
    ticks = [(value, words.number(round(value, 6))) for value in x.ticks()]
    parts = [
        frame.windows(drawn.windows, x, TOP, bottom),
        frame.y_grid(y, marks, f"attempts per {words.quantity(round(bins.width_s * 1000), 'ms')}"),
        *_bars([(0, first) for first, _ in counted], x, y, bins.width_s, "fill first"),
        *_bars([(first, first + again) for first, again in counted], x, y, bins.width_s, style.fill),
        *(
            svg.element("g", strip, transform=f"translate(0 {BOTTOM + GAP + n * (STRIP + GAP):.0f})")
            for n, strip in enumerate(strips)
        ),
        frame.x_axis(x, ticks, bottom, "seconds since the load began"),
    ]
    label = f"{style.name}, model attempts over time: {description(drawn)}"
    return svg.picture(frame.WIDTH, bottom + frame.AXIS_HEIGHT, label, *parts)


def description(drawn: ArmSeries) -> str:
    """Say what the picture shows in figures."""
    retries = sum(attempt > 1 for _, attempt, _ in drawn.attempts)
    parts = [f"{len(drawn.attempts):,} attempts"]
    parts.append(f"{retries:,} retries" if retries else "no retry")
    if failed := sum(decision != OK for _, _, decision in drawn.attempts):
        parts.append(f"{failed:,} failed")
    if drawn.quota and drawn.quota_burst:
        least = math.floor(max(min(level for _, level in drawn.quota), 0.0))
        parts.append(f"at the least {least:,} of {words.number(drawn.quota_burst)} left in the quota")
    return ", ".join(parts)


def _failed(drawn: ArmSeries, bins: Grid, x: svg.Linear) -> Markup | None:
    """Draw the attempts that failed, to a scale of their own; None when none did."""
    only = replace(drawn, attempts=tuple(each for each in drawn.attempts if each[2] != OK))
    counted = [sum(pair) for pair in binned(only, bins)]
    if not (most := max(counted)):
        return None
    bars = _bars([(0, n) for n in counted], x, svg.Linear(0, most, STRIP, 0), bins.width_s, "fill failed")
    return Markup().join([*_strip(f"{most:,} failed", x), *bars])


def _quota(drawn: ArmSeries, x: svg.Linear) -> Markup | None:
    """Draw what was left in the bucket: the least within each pixel. None without a quota."""
    if not drawn.quota or not drawn.quota_burst:
        return None
    y = svg.Linear(0, drawn.quota_burst, STRIP, 0)
    least: dict[int, float] = {}
    for time_s, level in drawn.quota:
        pixel = round(x(max(time_s, 0.0)))
        least[pixel] = min(level, least.get(pixel, math.inf))
    points = [(float(pixel), y(max(level, 0.0))) for pixel, level in sorted(least.items())]
    line = svg.element("path", d=svg.path(points), class_="line quota")
    return Markup().join([*_strip("quota", x), line])


def _strip(name: str, x: svg.Linear) -> list[Markup]:
    return [
        svg.text(frame.LEFT - 6, STRIP - 4, name, "tick", "end"),
        svg.line(x.start, STRIP, x.stop, STRIP, "grid"),
    ]


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
