"""The distribution of latency: the share of requests slower than x, both axes logarithmic.

The tail, which is what the claims are about, gets as much room as the middle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.quantiles import ROUNDING, enough, nearest_rank
from harness.records.outcome import ArmSeries
from harness.report import svg, words
from harness.report.charts import frame
from harness.report.charts.frame import ArmStyle

HEIGHT = 270.0
BOTTOM = HEIGHT - frame.AXIS_HEIGHT
QUANTILES = (0.5, 0.95, 0.99)
SHARES = (1.0, 0.5, 0.1, 0.05, 0.01, 0.001, 0.0001)
Z_95 = 1.96
"""Standard deviations on each side of a 95 % interval."""
SECOND_MS = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantile with its 95 % interval; an end is None where the sample does not bound it."""

    value: float
    low: float | None
    high: float | None


def estimate(ranked: Sequence[float], share: float) -> Estimate | None:
    """Estimate a quantile from ranked values, its interval by order statistics.

    Args:
        ranked: the values, smallest first.
        share: 0.99 for p99.

    Returns:
        The nearest-rank quantile and the values whose ranks enclose it in 95 % of samples
        (binomial, by its normal approximation); None when no value can lie above the
        quantile, for it would be the maximum by another name.
    """
    count = len(ranked)
    if not enough(count, share):
        return None
    spread = Z_95 * math.sqrt(count * share * (1 - share))
    low, high = math.floor(count * share - spread), math.ceil(count * share + spread) + 1
    return Estimate(
        value=nearest_rank(ranked, share),
        low=ranked[low - 1] if low >= 1 else None,
        high=ranked[high - 1] if high <= count else None,
    )


def distribution(series: Mapping[str, ArmSeries], styles: Mapping[str, ArmStyle]) -> Markup | None:
    """Draw the arms' latencies and the optimum's over one another; None without data."""
    ranked = {arm: sorted(drawn.latencies_s) for arm, drawn in series.items() if drawn.latencies_s}
    optimum = next((sorted(s.optimum_latencies_s) for s in series.values() if s.optimum_latencies_s), [])
    return _curves(ranked, optimum, styles, "latency")


def first_tokens(series: Mapping[str, ArmSeries], styles: Mapping[str, ArmStyle]) -> Markup | None:
    """Draw the arms' times to the first token over one another; None where no answer came in pieces."""
    ranked = {arm: sorted(drawn.first_tokens_s) for arm, drawn in series.items() if drawn.first_tokens_s}
    return _curves(ranked, [], styles, "time to first token")


def _curves(
    ranked: Mapping[str, list[float]], optimum: list[float], styles: Mapping[str, ArmStyle], what: str
) -> Markup | None:
    if not ranked:
        return None
    everything = [value for values in (*ranked.values(), optimum) for value in values[:1] + values[-1:]]
    x = svg.log_scale(everything, frame.LEFT, frame.PLOT_RIGHT)
    y = svg.Log(1 / max(map(len, ranked.values())), 1.0, BOTTOM, frame.TOP)
    parts = [
        frame.y_grid(
            y, [(s, words.percent(s)) for s in SHARES if s >= y.low], "slower than x, share of requests"
        ),
        frame.x_axis(x, _ticks(x), BOTTOM, f"{what}, log scale"),
    ]
    parts += [_curve(values, x, y, styles[arm].stroke) for arm, values in ranked.items()]
    if optimum:  # last: an arm as good as the optimum would hide it
        parts.append(_curve(optimum, x, y, "line optimum"))
    for arm, values in ranked.items():
        parts += [
            svg.element(
                "circle", cx=x(found.value), cy=y(1 - share), r=3.5, class_=f"dot hue-{styles[arm].hue}"
            )
            for share in QUANTILES
            if (found := estimate(values, share)) and 1 - share >= y.low
        ]
    parts += [
        svg.text(frame.LEFT + 3, y(1 - share) - 3, f"p{share * 100:.0f}", "quantile")
        for share in QUANTILES
        if 1 - share >= y.low
    ]
    label = f"Share of requests slower than x, by {what}: " + ", ".join(
        f"{arm} n = {len(values):,}" for arm, values in ranked.items()
    )
    return svg.picture(frame.WIDTH, HEIGHT, label, *parts)


def milliseconds(value_s: float | None) -> str:
    """Write seconds as milliseconds, or as seconds from 1 s on."""
    if value_s is None:
        return words.NONE
    return f"{words.number(value_s)} s" if value_s >= 1 else f"{words.number(value_s * SECOND_MS)} ms"


def _ticks(scale: svg.Log) -> list[tuple[float, str]]:
    """Label the scale, powers of ten first: they stay when there is no room for all."""
    ticks = sorted(
        scale.ticks(), key=lambda value: abs(math.log10(value) - round(math.log10(value))) > ROUNDING
    )
    return [(value, milliseconds(round(value, 9))) for value in ticks]


def _curve(ranked: Sequence[float], x: svg.Log, y: svg.Log, class_: str) -> Markup:
    count = len(ranked)
    falls = [(x(value), y((count - rank) / count)) for rank, value in enumerate(ranked)]
    corners = svg.stairs([(x.start, y(1.0)), *((px, py) for px, py in falls[1:])], x(ranked[-1]))
    return svg.element("path", d=svg.path(svg.thin(corners)), class_=class_)
