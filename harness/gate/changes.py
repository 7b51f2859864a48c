"""Where the level of a figure changed, over a history of sessions: drifts that no comparison of two sees.

Binary segmentation (Vostrikova, Detecting disorder in multidimensional random processes, 1981): the split at
which the means of both sides differ most, against the noise from one session to the next; then both sides
alike. The noise is the median absolute deviation of successive differences, which a change of level touches
once. How large the difference may be by chance is drawn, for a history of the same length.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAST_SEGMENT: Final = 2
"""Sessions on either side of a change."""
LEAST_SESSIONS: Final = 5
"""With fewer, no change can be told."""
FALSE_ALARMS: Final = 0.01
"""Of histories in which nothing changes: so many have a change marked."""
DRAWS: Final = 2000
LEAST_NOISE: Final = 0.005
"""Of ln figure: some are the same to the last digit, for a while."""
TO_SIGMA: Final = 1.4826 / math.sqrt(2)
"""From the median absolute deviation of differences to a standard deviation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Sessions between two changes.

    Attributes:
        first, last: their numbers in the history, from 0.
        level: the geometric mean of the figure.
    """

    first: int
    last: int
    level: float


def segments(figures: Sequence[float]) -> list[Segment]:
    """Return the stretches of a history in which the level of a figure stays the same.

    Args:
        figures: one a session, in their order; all above 0.

    Raises:
        ValueError: there is none, or one is not above 0.
    """
    if not figures or min(figures) <= 0:
        raise ValueError("a history needs figures, and each of them above 0")
    logs = np.log(np.asarray(figures, dtype=np.float64))
    begins = [0, *sorted(_splits(logs, 0)), len(logs)]
    return [
        Segment(first=first, last=after - 1, level=math.exp(statistics.fmean(logs[first:after])))
        for first, after in pairwise(begins)
    ]


def _splits(logs: NDArray[np.float64], offset: int) -> Iterator[int]:
    """Yield where a new level begins, as numbers of the whole history."""
    if len(logs) < LEAST_SESSIONS:
        return
    scores = _scores(logs[None, :])[0]
    at = int(np.argmax(scores))
    if scores[at] <= _by_chance(len(logs)):
        return
    split = at + LEAST_SEGMENT
    yield offset + split
    yield from _splits(logs[:split], offset)
    yield from _splits(logs[split:], offset + split)


def _scores(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, by history and split, how many standard errors the means of both sides differ by."""
    sessions = logs.shape[1]
    steps = np.diff(logs, axis=1)
    away = np.abs(steps - np.median(steps, axis=1, keepdims=True))
    noise = np.maximum(np.median(away, axis=1) * TO_SIGMA, LEAST_NOISE)
    before = np.arange(LEAST_SEGMENT, sessions - LEAST_SEGMENT + 1)
    sums = np.cumsum(logs, axis=1)
    left = sums[:, before - 1] / before
    right = (sums[:, -1:] - sums[:, before - 1]) / (sessions - before)
    error = np.sqrt(1 / before + 1 / (sessions - before))
    return np.asarray(np.abs(right - left) / (noise[:, None] * error))


@cache
def _by_chance(sessions: int) -> float:
    """Return the score that `FALSE_ALARMS` of calm histories of this length exceed somewhere."""
    drawn = np.random.default_rng(sessions).standard_normal((DRAWS, sessions))
    return float(np.quantile(_scores(drawn).max(axis=1), 1 - FALSE_ALARMS))
