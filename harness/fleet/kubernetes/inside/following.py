"""What the pod of a bench prints, until it has ended: the cluster may be away meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from harness.clock import Clock
from harness.fleet.kubernetes.api import NOT_THERE, ClusterError
from harness.fleet.kubernetes.printed import Printed

QUIET_S: Final = 20.0
"""How long nothing may come: several signs of life."""
AGAIN_S: Final = 1.0
"""Between a connection that was lost and the next."""
LOST_S: Final = 5 * 60.0
"""How long the cluster may be away. What runs there goes on meanwhile."""


def followed(
    printed: Printed, *, clock: Clock, over: Callable[[], bool], lost: Callable[[str], Exception]
) -> Iterator[str]:
    """Yield the lines of a pod's log until it has ended, and all of it was read.

    Args:
        printed: the log.
        clock: for waiting.
        over: says whether it has ended; raises where that is not known any more.
        lost: makes an error of why the cluster has been away for too long.

    Raises:
        ClusterError: the cluster refuses.
    """
    known_s = clock.monotonic()
    while True:
        why = "nothing came any more"
        try:
            ended = over()  # before it is read: what comes after that is nothing
            for line in printed.hear():
                known_s = clock.monotonic()
                yield line
            if ended:
                if printed.rest:
                    yield printed.rest
                return
        except ClusterError as error:
            if not error.passes and error.status != NOT_THERE:
                raise
            why = str(error)
        if clock.monotonic() - known_s > LOST_S:
            raise lost(why)
        clock.sleep(AGAIN_S)
