"""The little that drawing takes: elements, scales, ticks and paths. All pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Point = tuple[float, float]
STEPS = (1, 2, 5)
LEAST = 1e-9
"""A log scale begins here at the earliest: it has no 0."""


# --- elements --------------------------------------------------------------------------
def element(tag: str, *inside: str, **attributes: str | float | None) -> Markup:
    """Write an SVG element; what is not `Markup` is escaped.

    Args:
        tag: its name.
        inside: text or elements within.
        attributes: `class_` is `class`, `_` in a name is `-`; None leaves one out.
    """
    written = Markup().join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), _plain(value))
        for name, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(tag, written, Markup().join(map(escape, inside)))


def picture(width: float, height: float, label: str, *inside: str) -> Markup:
    """Write a whole picture that grows with its place; `label` says what it shows."""
    return element(
        "svg",
        *inside,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_plain(width)} {_plain(height)}",
        role="img",
        aria_label=label,
        preserveAspectRatio="xMidYMin meet",
    )


def text(x: float, y: float, words: str, class_: str = "", anchor: str = "start") -> Markup:
    """Write words at a point: `anchor` is start, middle or end."""
    return element("text", words, x=x, y=y, class_=class_ or None, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Draw a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def rectangle(x: float, y: float, width: float, height: float, class_: str) -> Markup:
    """Draw a filled rectangle."""
    return element("rect", x=x, y=y, width=max(width, 0.0), height=max(height, 0.0), class_=class_)


def _plain(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.1f}".removesuffix(".0")


# --- scales ----------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Linear:
    """Maps `low..high` onto `start..stop` pixels."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Return the pixel of `value`."""
        width = self.high - self.low
        return self.start + (self.stop - self.start) * ((value - self.low) / width if width else 0.0)

    def ticks(self, most: int = 6) -> tuple[float, ...]:
        """Return at most about `most` round values within the scale."""
        step = round_step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return tuple(number * step for number in range(first, last + 1))


@dataclass(frozen=True, slots=True)
class Log:
    """Maps `low..high`, both above 0, onto `start..stop` pixels by their logarithm."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Return the pixel of `value`; what is below the scale lies at its start."""
        if value <= self.low:
            return self.start
        return self.start + (self.stop - self.start) * math.log(value / self.low) / math.log(
            self.high / self.low
        )

    def ticks(self) -> tuple[float, ...]:
        """Return 1, 2, 5, 10, ... as far as they lie within the scale."""
        low, high = self.low * (1 - 1e-9), self.high * (1 + 1e-9)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        return tuple(
            value for power in powers for step in STEPS if low <= (value := step * 10.0**power) <= high
        )


def log_scale(values: Iterable[float], start: float, stop: float) -> Log:
    """Make a log scale that begins and ends at round values around `values` of at least `LEAST`."""
    above = [value for value in values if value >= LEAST] or [1.0]
    # A power more at each end: beside a power of ten, the logarithm is rounded onto it.
    powers = range(math.floor(math.log10(min(above))) - 1, math.ceil(math.log10(max(above))) + 2)
    ends = [step * 10.0**power for power in powers for step in STEPS]
    low = max(end for end in ends if end <= min(above))
    high = min(end for end in ends if end >= max(above))
    return Log(low, high if high > low else low * 10, start, stop)


def round_step(about: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is at least `about`."""
    if about <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(about))
    return next(step * power for step in (*STEPS, 10) if step * power >= about * (1 - 1e-9))


# --- paths -----------------------------------------------------------------------------
def path(points: Sequence[Point]) -> str:
    """Write points as the `d` of a path."""
    return "M" + "L".join(f"{_plain(x)} {_plain(y)}" for x, y in points) if points else ""


def stairs(points: Iterable[Point], end_x: float) -> list[Point]:
    """Turn (x, level) at each change into the corners of a staircase that goes on to `end_x`."""
    corners: list[Point] = []
    for x, y in points:
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    if corners:
        corners.append((end_x, corners[-1][1]))
    return corners


def thin(points: Sequence[Point], least: float = 0.4) -> list[Point]:
    """Drop points nearer than `least` pixels to the one kept before, but never the last."""
    kept: list[Point] = []
    for point in points[:-1]:
        if not kept or abs(point[0] - kept[-1][0]) >= least or abs(point[1] - kept[-1][1]) >= least:
            kept.append(point)
    return [*kept, *points[-1:]]
