"""Requests in work over time, a lane per container, with those that waited meanwhile above.

Red is what must not be: a container with a free slot while a request waits elsewhere. A bar under
a lane is the time in which its container was busy: at its limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np
from markupsafe import Markup

from harness.records.outcome import ArmSeries
from harness.report import svg, words
from harness.report.charts import frame
from harness.report.charts.frame import ArmStyle
from harness.report.charts.levels import Changes, Window, areas, at_least, mean_levels, merged, within

LANE, GAP, BUSY = 24.0, 10.0, 3.0
STEP_S = 0.1
"""Close-ups begin at multiples of this."""
MOMENT_S, MOST_MOMENTS = 0.05, 20_000
"""Height is judged by the mean of such a moment, longer ones in a run too long for so many."""
OVERLAP = 0.1
"""A mean may be this much above a level and still be taken for it."""
SLIVER = 0.35
"""Pixels: what is narrower is not drawn."""
CROSS = 4.0
"""Pixels from the middle of a cross to its ends."""


Lane = list[str]
"""The containers that have a lane one after another: a replacement takes that of the one it replaces."""


def packed(drawn: ArmSeries) -> list[Lane]:
    """Give containers to lanes, so that no two on a lane were there at once."""
    stays = {name: _stay(drawn, name) for name in drawn.in_flight}
    lanes: list[Lane] = []
    for name in sorted(stays, key=lambda name: stays[name][0]):
        lane = next((lane for lane in lanes if stays[lane[-1]][1] <= stays[name][0]), None)
        if lane is None:
            lanes.append([name])
        else:
            lane.append(name)
    return lanes


def _stay(drawn: ArmSeries, container: str) -> Window:
    """Return from when to when a container was there or had work; without end when nobody knows."""
    joined_s, left_s = drawn.present.get(container, (0.0, math.inf))
    return joined_s, max([left_s, *(time_s for time_s, _ in drawn.in_flight[container][-1:])])


def whole(series: Iterable[ArmSeries]) -> Window:
    """Return the time that all arms' lanes span."""
    ends = [changes[-1][0] for s in series for changes in (*s.in_flight.values(), s.waiting) if changes]
    return 0.0, max(ends, default=1.0) or 1.0


def arriving(series: Iterable[ArmSeries], window: Window) -> Window:
    """Return the part of the window in which requests arrived: after it, the queues only run empty."""
    ends = [each.to_s for drawn in series for each in drawn.windows if each.kind == "phase"]
    return window[0], min(window[1], max(ends, default=window[1]))


def worst(series: Iterable[ArmSeries], width_s: float, window: Window) -> Window:
    """Return the part of the window in which any arm's containers idled longest while requests waited.

    Where they idled for less than a tenth of it, there is nothing to see of that: then it
    is the part around the longest queue.
    """
    series = tuple(series)
    begins = np.arange(window[0], max(window[1] - width_s, window[0]) + STEP_S, STEP_S)
    best = (0.0, window[0])
    for drawn in series:
        ends = sorted(
            change for spans in drawn.idle.values() for a, b in spans for change in ((a, 1), (b, -1))
        )
        if not ends:
            continue
        times = [time_s for time_s, _ in ends]
        summed = areas(times, list(accumulate(change for _, change in ends[:-1])))
        idle = np.interp(begins + width_s, times, summed) - np.interp(begins, times, summed)
        best = max(best, (float(idle.max()), float(begins[idle.argmax()])))
    begin = best[1] if best[0] >= width_s / 10 else _longest_queue(series) - width_s / 4
    begin = min(max(begin, window[0]), max(window[1] - width_s, window[0]))
    return begin, begin + width_s


def _longest_queue(series: Iterable[ArmSeries]) -> float:
    """Return when most requests waited in any arm."""
    changes = (change for drawn in series for change in drawn.waiting)
    return max(changes, key=lambda change: change[1], default=(0.0, 0))[0]


def tallest(series: Iterable[ArmSeries]) -> tuple[int, int]:
    """Return the most requests in work at once in one container, and the most that waited.

    One request's end and the next one's begin may overlap by some milliseconds; that
    is not a second request in work, and must not make every lane half as high.
    """
    every = tuple(series)
    window = whole(every)
    bins = max(1, min(int(window[1] / MOMENT_S), MOST_MOMENTS))
    work = (max(mean_levels(changes, window, bins)) for s in every for changes in s.in_flight.values())
    most = max(1, math.ceil(max(work, default=1.0) - OVERLAP))
    return most, max((level for s in every for _, level in s.waiting), default=1) or 1


def lanes(drawn: ArmSeries, style: ArmStyle, window: Window, tops: tuple[int, int]) -> Markup | None:
    """Draw an arm's lanes within a window.

    Args:
        drawn: the arm's series.
        style: the arm's.
        window: seconds since the load began, from and to.
        tops: the levels at a lane's full height: in work, waiting; the same for every arm.

    Returns:
        The picture, or None when no container had work.
    """
    if not drawn.in_flight:
        return None
    x = svg.Linear(*window, frame.LEFT, frame.PLOT_RIGHT)
    top_of_work, top_of_waiting = tops
    every, top = packed(drawn), frame.TOP
    bottom = top + (len(every) + 1) * (LANE + GAP)
    parts = [
        frame.windows(drawn.windows, x, top, bottom),
        _name("waiting", top),
        _area(drawn.waiting, x, svg.Linear(0, top_of_waiting, top + LANE, top), "fill waiting"),
        svg.line(x.start, top + LANE, x.stop, top + LANE, "grid"),
    ]
    for number, lane in enumerate(every, start=1):
        y = top + number * (LANE + GAP)
        parts.append(_name(lane[0] if len(lane) == 1 else f"slot {number}", y))
        for container in lane:
            parts += _container(drawn, container, x, svg.Linear(0, top_of_work, y + LANE, y), style)
    ticks = [(value, words.number(round(value, 6))) for value in x.ticks()]
    parts.append(frame.x_axis(x, ticks, bottom, "seconds since the load began"))
    label = f"{style.name}: requests in work per container, from {window[0]:.1f} s to {window[1]:.1f} s"
    return svg.picture(frame.WIDTH, bottom + frame.AXIS_HEIGHT, label, *parts)


def _container(
    drawn: ArmSeries, container: str, x: svg.Linear, height: svg.Linear, style: ArmStyle
) -> list[Markup]:
    """Draw one container on its lane: while it was there, idle, at work, busy; and when it was killed."""
    window = (x.low, x.high)
    changes, base = drawn.in_flight[container], height.start
    there = within([drawn.present.get(container, window)], window)
    busy = at_least(changes, drawn.limit) if drawn.limit else ()
    parts = [svg.line(x(begin), base, x(end), base, "grid") for begin, end in there]
    parts += _boxes(drawn.idle.get(container, ()), x, height.stop, LANE, "idle")
    if any(level for _, level in changes):
        parts.append(_area(changes, x, height, style.fill))
    parts += _boxes(busy, x, base + 2, BUSY, "busy")
    parts += [
        _cross(x(event.time_s), base, f"{container} was killed at {event.time_s:.1f} s")
        for event in drawn.events
        if event.container == container and event.action == "kill" and x.low <= event.time_s <= x.high
    ]
    return parts


def _boxes(spans: Iterable[Window], x: svg.Linear, y: float, height: float, class_: str) -> list[Markup]:
    """Draw spans of time as boxes, all in one path; those that touch are one."""
    boxes = [
        svg.path([(x(begin), y), (x(end), y), (x(end), y + height), (x(begin), y + height)]) + "Z"
        for begin, end in merged(within(spans, (x.low, x.high)), SLIVER / _per_second(x))
    ]
    return [svg.element("path", d="".join(boxes), class_=class_)] if boxes else []


def _cross(x: float, y: float, text: str) -> Markup:
    strokes = svg.path([(x - CROSS, y - CROSS), (x + CROSS, y + CROSS)]) + svg.path(
        [(x - CROSS, y + CROSS), (x + CROSS, y - CROSS)]
    )
    return svg.element("path", svg.element("title", text), d=strokes, class_="killed")


def _per_second(x: svg.Linear) -> float:
    return (x.stop - x.start) / (x.high - x.low)


def _name(name: str, y: float) -> Markup:
    return svg.text(frame.LEFT - 6, y + LANE - 4, name, "tick", "end")


def _area(changes: Changes, x: svg.Linear, height: svg.Linear, class_: str) -> Markup:
    bins = int(x.stop - x.start)
    width_s = (x.high - x.low) / bins
    levels = [min(level, height.high) for level in mean_levels(changes, (x.low, x.high), bins)]
    corners = svg.stairs([(x(x.low + i * width_s), height(level)) for i, level in enumerate(levels)], x.stop)
    outline = [(x.start, height.start), *_corners_only(corners), (x.stop, height.start)]
    return svg.element("path", d=svg.path(outline) + "Z", class_=class_)


def _corners_only(points: Sequence[svg.Point]) -> list[svg.Point]:
    """Drop the points in the middle of a level stretch."""
    inner = [
        here
        for before, here, after in zip(points, points[1:], points[2:], strict=False)
        if not before[1] == here[1] == after[1]
    ]
    return [*points[:1], *inner, *points[-1:]]
