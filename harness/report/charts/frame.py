"""What all pictures share: size, axes, and the style of each arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.records.outcome import ArmSummary
from harness.records.setup import Window
from harness.report import svg

WIDTH = 480.0
LEFT, RIGHT, TOP = 52.0, 10.0, 20.0
PLOT_RIGHT = WIDTH - RIGHT
AXIS_HEIGHT = 34.0
CHARACTER = 8.0
"""The room that a character of a tick's label takes where type is largest: on a phone."""
HUES = {False: ("a", "c", "e", "h"), True: ("b", "d", "f", "g")}
"""Names of the style sheet's colours: arms under test, and controls."""


@dataclass(frozen=True, slots=True)
class ArmStyle:
    """How an arm is drawn in every picture: its colour's class, and a dash for a control."""

    name: str
    hue: str
    control: bool

    @property
    def stroke(self) -> str:
        """Return the classes of its lines."""
        return f"line hue-{self.hue}" + (" dashed" if self.control else "")

    @property
    def fill(self) -> str:
        """Return the classes of its surfaces."""
        return f"fill hue-{self.hue}"


def arm_styles(arms: Mapping[str, ArmSummary]) -> dict[str, ArmStyle]:
    """Give each arm of an experiment its style."""
    given: dict[bool, int] = {False: 0, True: 0}
    made = {}
    for name, arm in arms.items():
        hues = HUES[arm.control]
        made[name] = ArmStyle(name, hues[given[arm.control] % len(hues)], arm.control)
        given[arm.control] += 1
    return made


def x_axis(
    scale: Callable[[float], float], ticks: Sequence[tuple[float, str]], bottom: float, title: str
) -> Markup:
    """Draw a horizontal axis with its title beneath; a label that would touch an earlier one is left out."""
    parts = [svg.line(LEFT, bottom, PLOT_RIGHT, bottom, "axis")]
    taken: list[tuple[float, float]] = []
    for value, label in ticks:
        x, half = scale(value), len(label) * CHARACTER / 2
        parts.append(svg.line(x, bottom, x, bottom + 4, "axis"))
        left, right = x - half, x + half + CHARACTER / 2
        if all(right <= begin or left >= end for begin, end in taken):
            parts.append(svg.text(x, bottom + 15, label, "tick", "middle"))
            taken.append((left, right))
    parts.append(svg.text(PLOT_RIGHT, bottom + 29, title, "axis-title", "end"))
    return Markup().join(parts)


def y_grid(
    scale: Callable[[float], float], ticks: Sequence[tuple[float, str]], title: str, right: float = PLOT_RIGHT
) -> Markup:
    """Draw horizontal grid lines with labels, and the axis' title above."""
    parts = [svg.text(0, 10, title, "axis-title")]
    for value, label in ticks:
        y = scale(value)
        parts += [svg.line(LEFT, y, right, y, "grid"), svg.text(LEFT - 6, y + 4, label, "tick", "end")]
    return Markup().join(parts)


def windows(windows: Sequence[Window], x: svg.Linear, top: float, bottom: float) -> Markup:
    """Draw what went on meanwhile: where the load's phases begin, and each fault and weather as a shade.

    A load of a single phase from the beginning needs no word. Names of phases stand above the
    plot, those of faults at its upper edge; one that would touch an earlier one is left out.
    """
    phases = [window for window in windows if window.kind == "phase"]
    if len(phases) == 1 and phases[0].from_s <= 0:
        phases = []
    parts = []
    room = {"phase": x.start, "fault": x.start}
    for window in sorted((each for each in windows if each.kind != "phase" or phases), key=_begins):
        begin, end = x(max(window.from_s, x.low)), x(min(window.to_s, x.high))
        if begin >= end:
            continue
        kind = "phase" if window.kind == "phase" else "fault"
        if kind == "fault":
            parts.append(svg.rectangle(begin, top, end - begin, bottom - top, "shade"))
        elif window.from_s > x.low:
            parts.append(svg.line(begin, top - 12, begin, bottom, "begins"))
        needs = (len(window.name) + 1) * CHARACTER
        if room[kind] <= begin <= x.stop - needs:
            y = top + 9 if kind == "fault" else top - 4
            parts.append(svg.text(begin + 3, y, window.name, kind))
            room[kind] = begin + needs
    return Markup().join(parts)


def _begins(window: Window) -> float:
    return window.from_s
