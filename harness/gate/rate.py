"""How fast a block may be sent here: as machine and fleet carry with ease, so that a pair takes seconds."""

from __future__ import annotations

from typing import Final

STEPS_RPS: Final = (10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0)
"""Rates that are chosen among: few, so that sessions on like machines are comparable."""
MOST_CPU: Final = 0.45
"""Of the cores, that all processes of a side may use: above it, queues blur what is measured."""
MOST_SLOTS: Final = 0.4
"""Of all requests that the containers may work on at once: with more, some are refused."""


def fitted_rate(*, cpu_s: float, latency_s: float, slots: int, cores: float) -> float:
    """Return the highest of `STEPS_RPS` that machine and fleet carry; the lowest where none is.

    Args:
        cpu_s: CPU seconds that a request costs, in all processes of a side.
        latency_s: how long a request takes, in the mean.
        slots: requests that the fleet may work on at once.
        cores: that are free.
    """
    carried = [
        rate
        for rate in STEPS_RPS
        if rate * cpu_s <= MOST_CPU * cores and rate * latency_s <= MOST_SLOTS * slots
    ]
    return max(carried, default=STEPS_RPS[0])
