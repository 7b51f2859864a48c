"""A store that says "not now" is asked again, a few times and later each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
TRIES: Final = 6
FIRST_S: Final = 0.5


class NotNowError(Exception):
    """A store that could answer another time: it throttles, or is about to start."""


def patiently(ask: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """Return an answer.

    Args:
        ask: asks once.
        sleep: waits between two times, 15 s in all.

    Raises:
        NotNowError: it did not answer the last time either.
    """
    for number in range(TRIES - 1):
        try:
            return ask()
        except NotNowError:
            sleep(FIRST_S * 2**number)
    return ask()
