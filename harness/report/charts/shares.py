"""Each container's share: requests answered and seconds in work, an arm's bar under the other's.

Of many containers, as under kills, those with most work are shown; how many are left out is said.
"""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from harness.records.outcome import ArmSummary
from harness.report import svg, words
from harness.report.charts import frame
from harness.report.charts.frame import ArmStyle

BAR, ROW_GAP, HEAD, NOTE = 11.0, 12.0, 28.0, 14.0
GUTTER = 64.0
"""Between the two halves; the left one's figures stand there."""
STRIPE = 6
"""Pixels from one stripe of a control's bar to the next."""
MOST = 12
"""Containers that are shown."""
HALF = (frame.WIDTH - frame.LEFT - 2 * GUTTER) / 2 + 6


def shares(arms: Mapping[str, ArmSummary], styles: Mapping[str, ArmStyle]) -> Markup | None:
    """Draw bars per container and arm; None when no container is known."""
    containers = list(dict.fromkeys(name for arm in arms.values() for name in (*arm.served, *arm.busy_s)))
    if not containers:
        return None
    worked = {c: sum(arm.busy_s.get(c, 0.0) for arm in arms.values()) for c in containers}
    left_out = max(0, len(containers) - MOST)
    least = sorted(containers, key=worked.__getitem__)[:left_out]
    containers = [container for container in containers if container not in least]
    served = {name: {c: float(n) for c, n in arm.served.items()} for name, arm in arms.items()}
    busy = {name: dict(arm.busy_s) for name, arm in arms.items()}
    row = len(arms) * (BAR + 2) + ROW_GAP
    parts: list[str] = []
    for number, container in enumerate(containers):
        y = HEAD + number * row
        parts.append(svg.text(frame.LEFT - 6, y + (row - ROW_GAP) / 2 + 4, container, "tick", "end"))
    for values, left, unit, title in (
        (served, frame.LEFT, "", "requests answered"),
        (busy, frame.LEFT + HALF + GUTTER, "s", "seconds in work"),
    ):
        parts.append(svg.text(left, 12, title, "axis-title"))
        top = max((v for of_arm in values.values() for v in of_arm.values()), default=1.0) or 1.0
        scale = svg.Linear(0, top, 0, HALF)
        for place, arm in enumerate(arms):
            for number, container in enumerate(containers):
                if (value := values[arm].get(container)) is None:
                    continue
                y = HEAD + number * row + place * (BAR + 2)
                value_text = words.quantity(round(value, 1), unit)
                parts += [
                    svg.rectangle(left, y, scale(value), BAR, styles[arm].fill),
                    *([hatching(left, y, scale(value))] if styles[arm].control else []),
                    svg.text(left + scale(value) + 5, y + BAR - 2, value_text, "value"),
                ]
    label = "Requests answered and seconds in work, per container and arm"
    bottom = HEAD + len(containers) * row
    if left_out:
        parts.append(svg.text(0, bottom + 8, f"and {left_out} more containers, with less work each", "tick"))
    return svg.picture(frame.WIDTH, bottom + (NOTE if left_out else 0.0), label, *parts)


def hatching(x: float, y: float, width: float) -> Markup:
    """Draw the stripes over a control's bar, which tell it apart without colour."""
    starts = range(0, max(int(width - BAR), 0), STRIPE)
    stripes = "".join(svg.path([(x + at, y + BAR), (x + at + BAR, y)]) for at in starts)
    return svg.element("path", d=stripes, class_="hatching")
