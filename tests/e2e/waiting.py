"""Waits for conditions, never for seconds. A deadline is there only to end what hangs."""

import time
from collections.abc import Callable

DEADLINE_S = 180.0
"""No machine on which these tests are of any use is so slow."""
POLL_S = 0.02


def until(
    what: str, look: Callable[[], bool], deadline_s: float = DEADLINE_S, *, poll_s: float = POLL_S
) -> None:
    """Return once `look` says yes; `what` is said when it never does.

    Args:
        what: is waited for.
        look: is asked again and again.
        deadline_s: after which it is no use.
        poll_s: between two looks: longer for one that is much work for who is asked.
    """
    end = time.monotonic() + deadline_s
    while not look():
        assert time.monotonic() < end, f"never saw {what}"
        time.sleep(poll_s)
