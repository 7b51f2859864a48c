"""Time as something that is handed in: the real clock, and the fake that tests use."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the harness asks of time."""

    def now(self) -> float:
        """Return Unix time in seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary origin; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


class SystemClock:
    """The machine's own clock, whose time of day is read once: when that is set, no time here jumps."""

    def __init__(self) -> None:
        """Take the time of day now."""
        self._origin_s = time.time() - time.monotonic()

    def now(self) -> float:
        """Return Unix time in seconds."""
        return self._origin_s + time.monotonic()

    def monotonic(self) -> float:
        """Return seconds since an arbitrary origin; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block for `seconds`."""
        time.sleep(seconds)


class FakeClock:
    """A clock that moves only when told to, or when somebody sleeps on it.

    Args:
        start_s: the Unix time it begins at.
    """

    def __init__(self, start_s: float = 1_700_000_000.0) -> None:
        """Begin at `start_s`, with no sleeps recorded."""
        self._start_s = start_s
        self._elapsed_s = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        """Return the pretended Unix time in seconds."""
        return self._start_s + self._elapsed_s

    def monotonic(self) -> float:
        """Return the seconds that passed since the start."""
        return self._elapsed_s

    def sleep(self, seconds: float) -> None:
        """Record the sleep and move on at once."""
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._elapsed_s += seconds
