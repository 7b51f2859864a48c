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


def quantile(values: Sequence[float], q: float) -> float | None:
    """Return the `q`-quantile, None when there are too few values to speak of it.

    With fewer than 1/(1-q) values it would be the maximum by another name: p50 needs 2, p95 needs 20
    and p99 needs 100. (An upper 95 % bound on a p99 would need 299.)

    Args:
        values: in any order.
        q: in (0, 1).
    """
    if len(values) * (1 - q) < 1 - ROUNDING:
        return None
    return sorted(values)[math.ceil(q * len(values) - ROUNDING) - 1]
