"""What a pod prints, line by line, each once: also over connections that are lost and made anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from harness.clock import Clock
from harness.fleet.kubernetes.api import NOT_THERE, Cluster, ClusterError

QUIET_S: Final = 20.0
"""How long nothing may come: several signs of life."""
AGAIN_S: Final = 1.0
"""Between a connection that was lost and the next."""
LOST_S: Final = 5 * 60.0
"""How long the cluster may be away. What runs there goes on meanwhile."""


class Once:
    """Knows which lines were there already: the cluster puts the time before each, to the nanosecond."""

    def __init__(self) -> None:
        self.since = ""
        """The time of the last line, as the cluster wrote it; empty before the first."""
        self._then = Counter[str]()
        self._again: Counter[str] | None = None

    def anew(self) -> None:
        """A connection begins: it tells some of the last lines once more."""
        self._again = self._then.copy()

    def take(self, line: str) -> str | None:
        """Return a line without its time, None where it was there already."""
        time, _, text = line.partition(" ")
        if self._again is not None:
            if time < self.since:
                return None
            if time == self.since and self._again[text]:
                self._again[text] -= 1
                return None
            self._again = None  # what comes now is new, also where the clock of the node was set back
        if time != self.since:
            self.since = time
            self._then.clear()
        self._then[text] += 1
        return text


def followed(
    cluster: Cluster,
    path: str,
    once: Once,
    *,
    clock: Clock,
    over: Callable[[], bool],
    lost: Callable[[str], Exception],
) -> Iterator[str]:
    """Yield the lines of a pod's log until it has ended, and all of it was read.

    Args:
        cluster: that has it.
        path: of its log.
        once: knows what was there before.
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
            once.anew()
            since = {"sinceTime": once.since} if once.since else {}
            params = {"follow": "true", "timestamps": "true", **since}
            with cluster.stream(path, params, quiet_s=QUIET_S) as pieces:
                for line in lines(pieces):
                    known_s = clock.monotonic()
                    if (text := once.take(line)) is not None:
                        yield text
            if ended:
                return
        except ClusterError as error:
            if not error.passes and error.status != NOT_THERE:
                raise
            why = str(error)
        if clock.monotonic() - known_s > LOST_S:
            raise lost(why)
        clock.sleep(AGAIN_S)


def lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield the whole lines of a text that comes in pieces; the last one where it is not cut off."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for each in whole:
            yield each.decode("utf-8", "replace")
