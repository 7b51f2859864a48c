"""How the gate writes figures: as people do, without exponents."""

from __future__ import annotations

import math


def figure(value: float, digits: int = 4) -> str:
    """Write so many significant digits; of what has more before the point, all of them, as in 19,130."""
    if math.isfinite(value) and abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def ratio(value: float, decimals: int = 3) -> str:
    """Write so many decimals below 10; one below 100, and none of what is more: 1.195, 49.9, 378."""
    shown = {1: decimals, 2: 1}.get(len(f"{abs(value):.0f}"), 0)
    return f"{value:,.{shown}f}"
