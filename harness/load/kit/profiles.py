"""When requests are due: rates as small frozen values, turned into instants by a seeded draw."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from harness.load.arrivals import poisson

Due = tuple[str, float]
"""Phase, and seconds after the load begins."""


class Profile(Protocol):
    """A way in which requests arrive."""

    def due(self, draw: random.Random, factor: float) -> Iterator[Due]:
        """Yield phase and due time of each request, in order; may be endless.

        Args:
            draw: where all randomness comes from.
            factor: multiplies every rate.
        """
        ...


@dataclass(frozen=True, slots=True)
class Poisson:
    """Independent callers: exponential gaps, `rate_rps` a second on average, for ever."""

    rate_rps: float

    def due(self, draw: random.Random, factor: float) -> Iterator[Due]:
        """Yield what is due; see `Profile`."""
        due_s = 0.0
        while True:
            due_s += draw.expovariate(self.rate_rps * factor)
            yield "steady", due_s


@dataclass(frozen=True, slots=True)
class Constant:
    """A metronome: one request every 1 / `rate_rps` seconds, for ever."""

    rate_rps: float

    def due(self, _draw: random.Random, factor: float) -> Iterator[Due]:
        """Yield what is due; see `Profile`."""
        for number in itertools.count():
            yield "steady", number / (self.rate_rps * factor)


@dataclass(frozen=True, slots=True)
class Step:
    """One level of a staircase: Poisson at `rate_rps` for `duration_s`."""

    rate_rps: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Steps:
    """A staircase of Poisson levels; its last level goes on until the test is stopped.

    Each level is a phase of its own: `step-1`, `step-2`, ...
    """

    steps: tuple[Step, ...]

    def due(self, draw: random.Random, factor: float) -> Iterator[Due]:
        """Yield what is due; see `Profile`."""
        from_s = 0.0
        for number, step in enumerate(self.steps, start=1):
            last = number == len(self.steps)
            duration_s = float("inf") if last else step.duration_s
            for due_s in poisson(draw, step.rate_rps * factor, from_s, duration_s):
                yield f"step-{number}", due_s
            from_s += step.duration_s


@dataclass(frozen=True, slots=True)
class Burst:
    """`size` requests at the same instant, then nothing for `quiet_s`, then `then`."""

    size: int
    quiet_s: float
    then: Profile

    def due(self, draw: random.Random, factor: float) -> Iterator[Due]:
        """Yield what is due; see `Profile`."""
        yield from itertools.repeat(("burst", 0.0), self.size)
        for phase, due_s in self.then.due(draw, factor):
            yield phase, self.quiet_s + due_s
