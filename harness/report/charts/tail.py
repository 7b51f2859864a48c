"""Where the time went: per arm, a stacked bar of the requests above p99, and one of all."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from harness.records.outcome import ArmSummary
from harness.report import svg, words
from harness.report.charts import frame

BAR, NAME, ROW = 14.0, 16.0, 62.0
LEFT = 64.0
RIGHT = frame.WIDTH - 64.0
"""What is right of it has room for the sum."""
SEEN = 0.005
"""A part below this share of every bar is left out of the key."""


def tail(arms: Mapping[str, ArmSummary]) -> Markup | None:
    """Draw two bars per arm; None when no arm tells where its time went."""
    with_tail = {name: arm for name, arm in arms.items() if arm.tail}
    if not with_tail:
        return None
    top_s = max(sum(arm.tail.values()) for arm in with_tail.values())
    scale = svg.Linear(0, top_s or 1.0, LEFT, RIGHT)
    drawn: list[str] = []
    for number, (name, arm) in enumerate(with_tail.items()):
        y = number * ROW + NAME
        drawn.append(svg.text(0, y - 5, name))
        for place, (title, parts) in enumerate((("above p99", arm.tail), ("all", arm.body))):
            at = y + place * (BAR + 4)
            drawn.append(svg.text(LEFT - 6, at + BAR - 3, title, "tick", "end"))
            drawn += _bar(parts, scale, at)
    label = "Where the time went: the requests above p99, and all, by arm"
    return svg.picture(frame.WIDTH, len(with_tail) * ROW, label, *drawn)


def parts_seen(arms: Mapping[str, ArmSummary]) -> tuple[tuple[int, str], ...]:
    """Return number and name of each part that can be seen in some bar, for the key."""
    bars = [bar for arm in arms.values() for bar in (arm.tail, arm.body) if bar]
    names = list(dict.fromkeys(part for bar in bars for part in bar))
    return tuple(
        (number, name)
        for number, name in enumerate(names)
        if any(bar.get(name, 0.0) > SEEN * sum(bar.values()) for bar in bars)
    )


def _bar(parts: Mapping[str, float], scale: svg.Linear, y: float) -> list[str]:
    drawn: list[str] = []
    so_far_s = 0.0
    for number, (name, seconds) in enumerate(parts.items()):
        begin, end = scale(so_far_s), scale(so_far_s + seconds)
        so_far_s += seconds
        if end - begin < 0.05:  # noqa: PLR2004 - of a pixel: it can't be seen
            continue
        part_text = f"{name}: {words.quantity(seconds * 1e3, 'ms')}"
        drawn.append(
            svg.element(
                "rect",
                svg.element("title", part_text),
                x=begin,
                y=y,
                width=end - begin,
                height=BAR,
                class_=f"part part-{number}",
            )
        )
    drawn.append(svg.text(scale(so_far_s) + 5, y + BAR - 3, words.quantity(so_far_s * 1e3, "ms"), "value"))
    return drawn
