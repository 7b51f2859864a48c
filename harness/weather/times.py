"""When weather begins and ends, and what it draws: pure functions."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from harness.records.weather import WeatherRule
from harness.simulator_config import Distribution


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """A rule begins or ends, so many seconds after the load began."""

    at_s: float
    number: int
    what: Literal["begin", "end"]


def timetable(rules: Iterable[WeatherRule]) -> list[Turn]:
    """Return when each rule begins and ends, in order; `number` is its place among the rules."""
    return sorted(
        turn
        for number, rule in enumerate(rules)
        for from_s, to_s in rule.windows
        for turn in (Turn(from_s, number, "begin"), Turn(to_s, number, "end"))
    )


def draw_of(seed: int, *names: str | int) -> random.Random:
    """Return the draws of one thing: they depend on what is drawn for, never on who came first."""
    return random.Random("/".join(map(str, (seed, *names))))


def drawn_s(distribution: Distribution, draw: random.Random) -> float:
    """Draw a duration in seconds."""
    if distribution.p99_s is None:
        return distribution.median_s
    return draw.lognormvariate(math.log(distribution.median_s), distribution.sigma)
