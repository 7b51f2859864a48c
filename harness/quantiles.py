"""Exact quantiles: always a value that was observed.

Definition 1 of Hyndman and Fan (1996), `inverted_cdf` in numpy: the smallest value that a share of
at least `q` of all values do not exceed. Nothing is interpolated, so behind every p99 is a request
with a trace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

ROUNDING = 1e-9
"""0.99 * 100 is a little more than 99 in floating point."""


def nearest_rank(ranked: Sequence[float], q: float) -> float:
    """Return the `q`-quantile of any number of values, at least one.

    Args:
        ranked: smallest first.
        q: in (0, 1).
    """
    return ranked[math.ceil(q * len(ranked) - ROUNDING) - 1]


def enough(count: int, q: float) -> bool:
    """Return whether so many values have a `q`-quantile that is not their maximum by another name.

    That takes 1/(1-q) values: p50 needs 2, p95 needs 20 and p99 needs 100. (An upper 95 % bound on a p99
    would need 299.)
    """
    return count * (1 - q) >= 1 - ROUNDING


def quantile(values: Sequence[float], q: float) -> float | None:
    """Return the `q`-quantile, None when there are too few values to speak of it.

    Args:
        values: in any order.
        q: in (0, 1).
    """
    return nearest_rank(sorted(values), q) if enough(len(values), q) else None


def fullest(width: float, ranked: Sequence[float]) -> range:
    """Return the indices of the values in the fullest window of a width, wherever it begins; open at its end.

    Args:
        width: of the window, in the unit of the values.
        ranked: smallest first.
    """
    begin, found = 0, range(0)
    for end, value in enumerate(ranked, start=1):
        while value - ranked[begin] >= width:
            begin += 1
        found = max(found, range(begin, end), key=len)
    return found
