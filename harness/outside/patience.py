"""How long what another package does may take, where nobody would notice that it never ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

LONGEST_S: Final = 120
"""So long a check of another package may take for an arm, and anything else it is asked for: ours take a
second."""


class TooSlowError(BaseException):
    """Something takes too long. It is no `Exception`, which that may catch and go on."""


@contextmanager
def no_longer_than(seconds: int = LONGEST_S) -> Iterator[None]:
    """End what takes longer, where a thread can be told so: in the main one, by an alarm.

    Raises:
        TooSlowError: out of what is at work then.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> NoReturn:
        raise TooSlowError(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    left = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *left)
