"""Levels over time: a level holds from its change until the next. All pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np

Changes = Sequence[tuple[float, int]]
"""(time, level) at each change."""
Window = tuple[float, float]


def level_at(changes: Changes, time_s: float) -> int:
    """Return the level that holds at a time; 0 before the first change."""
    index = bisect_right(changes, time_s, key=lambda change: change[0])
    return changes[index - 1][1] if index else 0


def at_least(changes: Changes, level: int) -> Iterator[Window]:
    """Yield from when to when the level is at least so high; a last one that never ends is left out."""
    return ((begin, end) for (begin, height), (end, _) in pairwise(changes) if height >= level)


def merged(spans: Iterable[Window], least_s: float) -> list[Window]:
    """Join spans that touch, and drop what is shorter than `least_s` then."""
    joined: list[Window] = []
    for begin, end in spans:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return [(begin, end) for begin, end in joined if end - begin >= least_s]


def within(spans: Iterable[Window], window: Window) -> Iterator[Window]:
    """Yield the parts of the spans that lie in a window."""
    for begin, end in spans:
        if begin < window[1] and end > window[0]:
            yield max(begin, window[0]), min(end, window[1])


def mean_levels(changes: Changes, window: Window, bins: int) -> list[float]:
    """Return the mean level within each of `bins` equal parts of the window."""
    inner = [(t, level) for t, level in changes if window[0] < t < window[1]]
    steps = [(window[0], level_at(changes, window[0])), *inner]
    times = [t for t, _ in steps] + [window[1]]
    summed = areas(times, [level for _, level in steps])
    edges = np.linspace(*window, bins + 1)
    width = (window[1] - window[0]) / bins
    return [float(area) / width for area in np.diff(np.interp(edges, times, summed))]


def areas(times: Sequence[float], levels: Sequence[int]) -> list[float]:
    """Return the area under a staircase up to each of its times; the last time ends it."""
    spans = zip(pairwise(times), levels, strict=True)
    return list(accumulate((level * (end - begin) for (begin, end), level in spans), initial=0.0))
