"""When requests are due: rates as small frozen values, turned into instants by a seeded draw."""

from __future__ import annotations

import inspect
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, cast

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


class LaterProfile(Profile, Protocol):
    """One that can begin in its middle, without all that was due before."""

    def due(self, draw: random.Random, factor: float, from_s: float = 0.0) -> Iterator[Due]:
        """Yield what is due from `from_s` on, and perhaps a little before; else as `Profile`."""
        ...


def due_from(profile: Profile, draw: random.Random, factor: float, from_s: float) -> Iterator[Due]:
    """Yield what is due from an instant on, and perhaps before: somebody's own profile may know no middle."""
    if "from_s" in inspect.signature(profile.due).parameters:
        return cast("LaterProfile", profile).due(draw, factor, from_s)
    return profile.due(draw, factor)


@dataclass(frozen=True, slots=True)
class Poisson:
    """Independent callers: exponential gaps, `rate_rps` a second on average, for ever."""

    rate_rps: float

    def due(self, draw: random.Random, factor: float, from_s: float = 0.0) -> Iterator[Due]:
        """Yield what is due; see `LaterProfile`."""
        due_s = from_s
        while True:
            due_s += draw.expovariate(self.rate_rps * factor)
            yield "steady", due_s


@dataclass(frozen=True, slots=True)
class Constant:
    """A metronome: one request every 1 / `rate_rps` seconds, for ever."""

    rate_rps: float

    def due(self, _draw: random.Random, factor: float, from_s: float = 0.0) -> Iterator[Due]:
        """Yield what is due; see `LaterProfile`."""
        for number in itertools.count(math.floor(from_s * self.rate_rps * factor)):
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

    def due(self, draw: random.Random, factor: float, from_s: float = 0.0) -> Iterator[Due]:
        """Yield what is due; see `LaterProfile`."""
        begins_s = 0.0
        for number, step in enumerate(self.steps, start=1):
            last = number == len(self.steps)
            ends_s = math.inf if last else begins_s + step.duration_s
            first_s = max(begins_s, from_s)
            for due_s in poisson(draw, step.rate_rps * factor, first_s, ends_s - first_s):
                yield f"step-{number}", due_s
            begins_s += step.duration_s


@dataclass(frozen=True, slots=True)
class Burst:
    """`size` requests at the same instant, then nothing for `quiet_s`, then `then`."""

    size: int
    quiet_s: float
    then: Profile

    def due(self, draw: random.Random, factor: float, from_s: float = 0.0) -> Iterator[Due]:
        """Yield what is due; see `LaterProfile`."""
        if from_s <= 0:
            yield from itertools.repeat(("burst", 0.0), self.size)
        for phase, due_s in due_from(self.then, draw, factor, max(0.0, from_s - self.quiet_s)):
            yield phase, self.quiet_s + due_s
