"""The rate of a test that runs can be changed: from an instant on, which all drivers know beforehand.

Each driver walks the whole plan. So that all walk the same one, a driver looks only a little ahead, and a
change holds from an instant beyond that.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from harness.load.kit.profiles import Due, Profile, due_from

AHEAD_S: Final = 0.5
"""A driver decides so long before it is due what is due next."""
KNOWN_S: Final = 2.0
"""A change holds from so long after it was told: all drivers have it by then."""
POLL_S: Final = 0.1
YIELDS_AFTER: Final = 100
"""Of what is passed over, so that the process is not still meanwhile."""


@dataclass(frozen=True, slots=True)
class RateChange:
    """From `at_s` seconds of the plan on, every rate is multiplied by `factor`."""

    at_s: float
    factor: float


class Rates:
    """By which factors the rates of a plan are multiplied.

    Args:
        factor: from the beginning on.

    Attributes:
        first: that factor.
    """

    def __init__(self, factor: float) -> None:
        self.first = factor
        self._changes: list[RateChange] = []

    def change(self, change: RateChange) -> None:
        """Let another factor hold from an instant on, which comes after those of all changes before."""
        self._changes.append(change)

    def number(self, number: int) -> RateChange | None:
        """Return a change by its number, from 1; None when there is none yet."""
        return self._changes[number - 1] if number <= len(self._changes) else None


def due_at(
    profile: Profile,
    seed: str,
    rates: Rates,
    *,
    end_s: float,
    now_s: Callable[[], float],
    sleep: Callable[[float], None],
) -> Iterator[Due]:
    """Yield phase and due time of each request, each not long before it is due.

    Args:
        profile: when requests are due.
        seed: the same gives the same instants, with the same changes.
        rates: by which they are multiplied; may change meanwhile.
        end_s: seconds of the plan that are sent: at its end nobody waits for what would be due later.
        now_s: seconds since the plan's beginning.
        sleep: waits for seconds.
    """
    number = 0
    due = profile.due(random.Random(seed), rates.first)
    while (coming := next(due, None)) is not None:
        change = _change_before(min(coming[1], end_s), rates, number + 1, now_s, sleep)
        if change is None:
            yield coming
            continue
        number += 1
        again = due_from(profile, random.Random(f"{seed}/{number}"), change.factor, change.at_s)
        due = _after(again, change.at_s, sleep)


def _after(due: Iterator[Due], at_s: float, sleep: Callable[[float], None]) -> Iterator[Due]:
    for number, coming in enumerate(due, start=1):
        if coming[1] >= at_s:
            yield coming
            break
        if number % YIELDS_AFTER == 0:
            sleep(0)
    yield from due


def _change_before(
    due_s: float, rates: Rates, number: int, now_s: Callable[[], float], sleep: Callable[[float], None]
) -> RateChange | None:
    """Wait until shortly before `due_s`; return the next change if it holds by then."""
    while True:
        change = rates.number(number)
        if change is not None and change.at_s <= due_s:
            return change
        left_s = due_s - AHEAD_S - now_s()
        if left_s <= 0:
            return None
        sleep(min(left_s, POLL_S))
