"""How sure the figures of an arm are: n and a 95 % interval, as they stand beneath them.

Quantiles get theirs by order statistics, shares by Wilson's method. Counts and sums over the
whole load are exact: nothing in them was sampled.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from harness.records.outcome import ArmSeries, ArmSummary
from harness.report import words
from harness.report.charts.distribution import SECOND_MS, Z_95, Estimate, estimate

OF_SOME = {
    words.P99_ALL: ("p99_all_ms", 0.99),
    words.COLD_P99: ("cold_p99_ms", 0.99),
    words.WARM_P99: ("warm_p99_ms", 0.99),
    words.STEADY_P95: ("steady_p95_ms", 0.95),
    words.TTFB_P99: ("ttfb_p99_ms", 0.99),
    words.TTFT_P50: ("ttft_p50_ms", 0.5),
    words.TTFT_P99: ("ttft_p99_ms", 0.99),
    words.WAIT_P99: ("wait_p99_ms", 0.99),
    words.OPTIMUM_WAIT_P99: ("optimum_wait_p99_ms", 0.99),
}
"""Quantiles of others than all successes: the sample's name, and the share."""
OF_SUCCESSES = {words.P50: 0.5, words.P95: 0.95, words.P99: 0.99}


def doubt(figure: words.Figure, arm: ArmSummary, drawn: ArmSeries) -> str:
    """Say how sure an arm's figure is; empty for one that is exact or that there is not.

    Args:
        figure: which one.
        arm: its values.
        drawn: the latencies behind them.
    """
    if figure.text(arm) == words.NONE:
        return ""
    if figure in OF_SUCCESSES:
        compared = drawn.of_typical_block and figure in {words.P50, words.P99}
        return "in a typical block" if compared else _quantile(drawn.latencies_s, OF_SUCCESSES[figure])
    if figure in OF_SOME:
        name, share = OF_SOME[figure]
        return _quantile(drawn.samples.get(name, ()), share)
    if figure == words.OPTIMUM_P99:
        return _quantile(drawn.optimum_latencies_s, 0.99)
    if figure == words.OVER_OPTIMUM and arm.optimum_p99_ms:
        optimum_s = arm.optimum_p99_ms / SECOND_MS
        return _quantile(drawn.latencies_s, 0.99, lambda value_s: f"{value_s / optimum_s:.2f}")
    return _share(figure, arm, drawn)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a share of `n` independent cases (Wilson 1927)."""
    z2 = Z_95 * Z_95
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def ends(found: Estimate, write: Callable[[float], str]) -> str:
    """Write the ends of a quantile's interval; `?` is one that the sample does not bound."""
    low, high = ("?" if end is None else write(end) for end in (found.low, found.high))
    return f"{low} to {high}"


def in_ms(value_s: float) -> str:
    """Write seconds as the bare number of milliseconds."""
    return words.number(value_s * SECOND_MS)


def _quantile(latencies_s: tuple[float, ...], share: float, write: Callable[[float], str] = in_ms) -> str:
    if not latencies_s:
        return ""
    found = estimate(sorted(latencies_s), share)
    n = f"n = {len(latencies_s):,}"
    return f"{ends(found, write)}, {n}" if found else f"the slowest, {n}"


def _share(figure: words.Figure, arm: ArmSummary, drawn: ArmSeries) -> str:
    shares = {
        words.ERRORS: (arm.errors / arm.requests if arm.requests else None, arm.requests),
        words.HERD: (arm.herd_share, drawn.shares_of.get("herd_share", 0)),
        words.GOODPUT: (arm.goodput_share, drawn.shares_of.get("goodput_share", 0)),
    }
    share, n = shares.get(figure, (None, 0))
    if share is None or not n:
        return ""
    low, high = wilson(min(share, 1.0), n)
    return f"{words.percent(low)} to {words.percent(high)}, n = {n:,}"
