"""Requests in work over time, a lane per container, with those that waited meanwhile above.

Red is what must not be: a container without work while a request waits elsewhere.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

import numpy as np
from markupsafe import Markup

from harness.records import ArmSeries
from harness.report import svg, words
from harness.report.charts import frame
from harness.report.charts.frame import Look

LANE, GAP = 24.0, 8.0
STEP_S = 0.1
"""Close-ups begin at multiples of this."""
MOMENT_S, MOST_MOMENTS = 0.01, 20_000
"""Height is judged by the mean of such a moment, longer ones in a run too long for so many."""
OVERLAP = 0.1
"""A mean may be this much above a level and still be taken for it."""
SLIVER = 0.35
"""Pixels: what is narrower is not drawn."""
Changes = Sequence[tuple[float, int]]
Window = tuple[float, float]


def whole(series: Iterable[ArmSeries]) -> Window:
    """Return the time that all arms' lanes span."""
    ends = [changes[-1][0] for s in series for changes in (*s.in_flight.values(), s.waiting) if changes]
    return 0.0, max(ends, default=1.0) or 1.0


def worst(series: Iterable[ArmSeries], width_s: float, within: Window) -> Window:
    """Return the window in which any arm's containers idled longest while requests waited.

    Where they idled for less than a tenth of it, there is nothing to see of that: then it
    is the window around the longest queue.
    """
    series = tuple(series)
    begins = np.arange(within[0], max(within[1] - width_s, within[0]) + STEP_S, STEP_S)
    best = (0.0, within[0])
    for drawn in series:
        spans = [
            span
            for work in drawn.in_flight.values()
            for span in idle_while_waiting(work, drawn.waiting, within)
        ]
        ends = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
        if not ends:
            continue
        times = [time_s for time_s, _ in ends]
        areas = _areas(times, list(accumulate(change for _, change in ends[:-1])))
        idle = np.interp(begins + width_s, times, areas) - np.interp(begins, times, areas)
        best = max(best, (float(idle.max()), float(begins[idle.argmax()])))
    begin = best[1] if best[0] >= width_s / 10 else _longest_queue(series) - width_s / 4
    begin = min(max(begin, within[0]), max(within[1] - width_s, within[0]))
    return begin, begin + width_s


def _longest_queue(series: Iterable[ArmSeries]) -> float:
    """Return when most requests waited in any arm."""
    changes = (change for drawn in series for change in drawn.waiting)
    return max(changes, key=lambda change: change[1], default=(0.0, 0))[0]


def tallest(series: Iterable[ArmSeries]) -> tuple[int, int]:
    """Return the most requests in work at once in one container, and the most that waited.

    One request's end and the next one's begin may overlap by less than a millisecond; that
    is no second request in work, and must not make every lane half as high.
    """
    every = tuple(series)
    window = whole(every)
    bins = max(1, min(int(window[1] / MOMENT_S), MOST_MOMENTS))
    work = (max(mean_levels(changes, window, bins)) for s in every for changes in s.in_flight.values())
    most = max(1, math.ceil(max(work, default=1.0) - OVERLAP))
    return most, max((level for s in every for _, level in s.waiting), default=1) or 1


def lanes(drawn: ArmSeries, look: Look, window: Window, tops: tuple[int, int]) -> Markup | None:
    """Draw an arm's lanes within a window.

    Args:
        drawn: the arm's series.
        look: the arm's look.
        window: seconds since the load began, from and to.
        tops: the levels at a lane's full height: in work, waiting; the same for every arm.

    Returns:
        The picture, or None when no container had work.
    """
    if not drawn.in_flight:
        return None
    x = svg.Linear(*window, frame.LEFT, frame.PLOT_RIGHT)
    top_of_work, top_of_waiting = tops
    parts = [
        _name("waiting", 0),
        _lane(drawn.waiting, x, svg.Linear(0, top_of_waiting, LANE, 0), "fill waiting"),
    ]
    for number, (container, changes) in enumerate(drawn.in_flight.items(), start=1):
        y = number * (LANE + GAP)
        parts += [
            svg.rectangle(x(begin), y, x(end) - x(begin), LANE, "idle")
            for begin, end in merged(
                idle_while_waiting(changes, drawn.waiting, window), SLIVER / _per_second(x)
            )
        ]
        height = svg.Linear(0, top_of_work, y + LANE, y)
        parts += [_name(container, y), _lane(changes, x, height, look.fill)]
    bottom = (len(drawn.in_flight) + 1) * (LANE + GAP)
    ticks = [(value, words.number(round(value, 6))) for value in x.ticks()]
    parts.append(frame.x_axis(x, ticks, bottom, "seconds since the load began"))
    label = f"{look.name}: requests in work per container, from {window[0]:.1f} s to {window[1]:.1f} s"
    return svg.picture(frame.WIDTH, bottom + frame.AXIS_HEIGHT, label, *parts)


def idle_while_waiting(work: Changes, waiting: Changes, window: Window) -> list[Window]:
    """Return the spans within `window` in which a container had no work and some request waited."""
    edges = sorted({*window, *(t for t, _ in (*work, *waiting) if window[0] < t < window[1])})
    return [
        (begin, end)
        for begin, end in pairwise(edges)
        if not level_at(work, begin) and level_at(waiting, begin)
    ]


def level_at(changes: Changes, time_s: float) -> int:
    """Return the level that holds at a time; 0 before the first change."""
    index = bisect_right(changes, time_s, key=lambda change: change[0])
    return changes[index - 1][1] if index else 0


def merged(spans: Iterable[Window], least_s: float) -> list[Window]:
    """Join spans that touch, and drop what is shorter than `least_s` then."""
    joined: list[Window] = []
    for begin, end in spans:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return [(begin, end) for begin, end in joined if end - begin >= least_s]


def mean_levels(changes: Changes, window: Window, bins: int) -> list[float]:
    """Return the mean level within each of `bins` equal parts of the window."""
    inner = [(t, level) for t, level in changes if window[0] < t < window[1]]
    steps = [(window[0], level_at(changes, window[0])), *inner]
    times = [t for t, _ in steps] + [window[1]]
    areas = _areas(times, [level for _, level in steps])
    edges = np.linspace(*window, bins + 1)
    width = (window[1] - window[0]) / bins
    return [float(area) / width for area in np.diff(np.interp(edges, times, areas))]


def _areas(times: Sequence[float], levels: Sequence[int]) -> list[float]:
    """Return the area under a staircase up to each of its times; the last time ends it."""
    spans = zip(pairwise(times), levels, strict=True)
    return list(accumulate((level * (end - begin) for (begin, end), level in spans), initial=0.0))


def _per_second(x: svg.Linear) -> float:
    return (x.stop - x.start) / (x.high - x.low)


def _name(name: str, y: float) -> Markup:
    return svg.text(frame.LEFT - 6, y + LANE - 4, name, "tick", "end")


def _lane(changes: Changes, x: svg.Linear, height: svg.Linear, class_: str) -> Markup:
    bins = int(x.stop - x.start)
    width_s = (x.high - x.low) / bins
    levels = [min(level, height.high) for level in mean_levels(changes, (x.low, x.high), bins)]
    corners = svg.stairs([(x(x.low + i * width_s), height(level)) for i, level in enumerate(levels)], x.stop)
    base = height.start
    outline = [(x.start, base), *_corners_only(corners), (x.stop, base)]
    area = svg.element("path", d=svg.path(outline) + "Z", class_=class_)
    return svg.line(x.start, base, x.stop, base, "grid") + area


def _corners_only(points: Sequence[svg.Point]) -> list[svg.Point]:
    """Drop the points in the middle of a level stretch."""
    inner = [
        here
        for before, here, after in zip(points, points[1:], points[2:], strict=False)
        if not before[1] == here[1] == after[1]
    ]
    return [*points[:1], *inner, *points[-1:]]
