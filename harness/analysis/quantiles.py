"""Exact quantiles: always a value that was observed (Hyndman & Fan 1996, definition 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence


def quantile(values: Sequence[float], q: float) -> float | None:
    """Return the `q`-quantile, None when there are too few values to speak of it.

    Fewer than 1/(1-q) values have none above their quantile: it would be the maximum by
    another name. So p50 needs 2, p95 needs 20 and p99 needs 100.

    Args:
        values: in any order.
        q: in (0, 1).
    """
    if len(values) * (1 - q) < 1 - 1e-9:
        return None
    return sorted(values)[math.ceil(q * len(values) - 1e-9) - 1]
