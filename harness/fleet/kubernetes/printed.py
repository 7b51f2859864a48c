"""What a pod prints, line by line, each once: also over connections that are lost and made anew."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from harness.fleet.kubernetes.api import Cluster

STAMP: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
"""What the node puts before each line of a pod, in the time of its own zone."""
Instant = tuple[float, str]


class Printed:
    """The log of one pod. API servers are replaced, too: what comes twice then is known by its time.

    Args:
        cluster: that tells it.
        path: of the log in the API.
        quiet_s: how long nothing may come: the connection may be gone without a word.
        most_bytes: that are wanted at all.

    Attributes:
        rest: the last line, where the end of it has not come.
        is_cut: whether there is more than is wanted.
    """

    def __init__(self, cluster: Cluster, path: str, *, quiet_s: float, most_bytes: float = math.inf) -> None:
        self.rest = ""
        self.is_cut = False
        self._cluster = cluster
        self._path = path
        self._quiet_s = quiet_s
        self._left = most_bytes
        self._since = ""
        self._then = Counter[str]()
        self._again: Counter[str] | None = None
        self._of_node = ""

    def hear(self, begun: Callable[[], None] = lambda: None) -> Iterator[str]:
        """Yield each line that is new, for as long as one connection lasts.

        Args:
            begun: called once it is listened: from there on all is told, also of a pod that is deleted.

        Raises:
            ClusterError: the cluster does not answer, refuses, or breaks off.
        """
        since = {"sinceTime": self._since} if self._since else {}
        self._again, line = self._then.copy(), b""
        params = {"follow": "true", "timestamps": "true", **since}
        with self._cluster.stream(self._path, params, quiet_s=self._quiet_s) as pieces:
            begun()
            for piece in pieces:
                *whole, line = (line + piece).split(b"\n")
                for each in whole:
                    if (text := self._taken(each.decode("utf-8", "replace"))) is not None:
                        self._left -= len(each)
                        yield text
                if self._left <= len(line):
                    self.is_cut = True
                    return
            self._keep(line.decode("utf-8", "replace"))

    def _taken(self, line: str) -> str | None:
        """Return a line without its time, None where it was there already."""
        stamp, _, text = line.partition(" ")
        if (at := _instant(stamp)) is None:
            return self._of_the_node(line)
        if self._again is not None:
            known = _instant(self._since)
            if known is not None and at < known:  # the API takes a time of whole seconds
                return None
            if at == known and self._again[text]:
                self._again[text] -= 1
                return None
            self._again = None  # what comes now is new, also where the clock of the node was set back
        if stamp != self._since:
            self._since = stamp
            self._then.clear()
        self._then[text] += 1
        self.rest = ""
        return text

    def _of_the_node(self, line: str) -> str | None:
        """Return a line that no pod printed, as of a node that can't watch a file; the same once alone."""
        if line == self._of_node:
            return None
        self._of_node = line
        return line

    def _keep(self, line: str) -> None:
        """Keep the begin of a line, where it is a new one: it comes whole the next time, if there is one."""
        stamp, _, text = line.partition(" ")
        at, known = _instant(stamp), _instant(self._since)
        if at is not None and (known is None or at > known):
            self.rest = text


def _instant(stamp: str) -> Instant | None:
    """Return when a line was printed, so that later is greater; None where that is no time of a node."""
    if (found := STAMP.fullmatch(stamp)) is None:
        return None
    second, part, zone = found.groups()
    try:
        return datetime.fromisoformat(second + zone).timestamp(), (part or "").ljust(9, "0")
    except ValueError:
        return None
