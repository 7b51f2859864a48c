"""The p99 over the central queue's, setting by setting: a lane an arm, its dot at the median."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from markupsafe import Markup

from harness.report import svg
from harness.report.charts import frame
from harness.report.charts.frame import ArmStyle
from harness.report.style import style

LANE, NAME, GAP = 8.0, 20.0, 6.0
KEY_ROW, KEY_DOT = 18.0, 12.0
LEFT = 8.0
"""Where 1, the optimum, stands: settings are named above their lanes, not beside them."""


def optimum_ratios(
    ratios: Mapping[str, Mapping[str, Sequence[float]]], styles: Mapping[str, ArmStyle]
) -> Markup:
    """Draw a picture that stands by itself, as a file.

    Args:
        ratios: by setting and arm, the ratio of each repetition; a stroke shows their range.
        styles: of the arms.
    """
    known = [ratio for arms in ratios.values() for repeated in arms.values() for ratio in repeated]
    arms = list(dict.fromkeys(arm for by_arm in ratios.values() for arm in by_arm))
    key, top = _key(arms, styles)
    row = NAME + LANE * len(arms) + GAP
    bottom = top + row * len(ratios)
    x = svg.Log(min(1.0, *known), max(2.0, *known) * 1.05, LEFT, frame.PLOT_RIGHT)
    ticks = [tick for tick in (1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0) if tick <= x.high]
    parts = [
        *key,
        *(svg.line(x(tick), top, x(tick), bottom, "line optimum" if tick == 1 else "grid") for tick in ticks),
        svg.line(LEFT, bottom, frame.LEFT, bottom, "axis"),
        frame.x_axis(
            x, [(tick, f"{tick:g}") for tick in ticks], bottom, "p99 over the central queue's, log scale"
        ),
    ]
    for number, (setting, by_arm) in enumerate(ratios.items()):
        y = top + number * row
        parts.append(svg.text(LEFT + 6, y + NAME - 8, setting, "value"))
        parts += [
            _lane(by_arm[arm], x, y + NAME + lane * LANE, styles[arm], arm)
            for lane, arm in enumerate(arms)
            if by_arm.get(arm)
        ]
    label = "p99 over the optimum by setting: " + "; ".join(
        f"{setting}: "
        + ", ".join(f"{arm} {median(repeated):.2f}" for arm, repeated in by_arm.items() if repeated)
        for setting, by_arm in ratios.items()
    )
    height = bottom + frame.AXIS_HEIGHT
    return svg.picture(frame.WIDTH, height, label, svg.element("style", style()), *parts)


def _lane(ratios: Sequence[float], x: svg.Log, y: float, style: ArmStyle, arm: str) -> Markup:
    label = f"{arm}: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return Markup().join(
        [
            svg.line(x(min(ratios)), y, x(max(ratios)), y, style.stroke),
            svg.element(
                "circle",
                svg.element("title", label),
                cx=x(median(ratios)),
                cy=y,
                r=3.5,
                class_=f"dot hue-{style.hue}",
            ),
        ]
    )


def _key(arms: Sequence[str], styles: Mapping[str, ArmStyle]) -> tuple[list[Markup], float]:
    """Return the arms' names beside their colours, and how much room they take."""
    parts, left, row = [], LEFT, 0.0
    for arm in arms:
        width = KEY_DOT + (len(arm) + 2) * frame.CHARACTER
        if left > LEFT and left + width > frame.WIDTH:
            left, row = LEFT, row + KEY_ROW
        parts.append(svg.element("circle", cx=left, cy=row + 8, r=3.5, class_=f"dot hue-{styles[arm].hue}"))
        parts.append(svg.text(left + KEY_DOT - 4, row + 12, arm, "tick"))
        left += width
    return parts, row + KEY_ROW + 6
