"""What a pod prints, written down while it runs: once it is deleted, the cluster tells nothing any more."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

from harness.fleet.kubernetes.api import NOT_THERE, PAUSE_S, Cluster, ClusterError
from harness.outside.secrets import hidden

MOST_BYTES: Final = 10 * 1024 * 1024
HEARD_OUT_S: Final = 3.0
"""How long what an ended pod printed may take to arrive."""
CUT: Final = f"(agentrig: more than {MOST_BYTES // 2**20} MiB, the rest is not kept)\n"


class Heard:
    """The log of one pod, written on a thread of its own.

    A connection that is lost is made anew: API servers are replaced, too. What comes twice then is known by
    the stamps that the node gives to lines.

    Args:
        cluster: that tells it.
        path: of the log in the API.
        log: gets it.

    Attributes:
        is_cut: whether it was too much, and the end is missing.
    """

    def __init__(self, cluster: Cluster, path: str, log: Path) -> None:
        self.is_cut = False
        self._cluster = cluster
        self._path = path
        self._log = log
        self._listening = threading.Event()
        self._over = threading.Event()
        self._left = MOST_BYTES
        self._stamp = self._rest = b""
        self._same = 0
        self._thread = threading.Thread(target=self._write_down, daemon=True)
        self._thread.start()

    def await_begin(self) -> None:
        """Wait until it is listened to: from there on it is told all, also of one that is deleted."""
        self._listening.wait(HEARD_OUT_S)

    def finish(self) -> None:
        """Take in what is still told, of a pod that has ended."""
        self._over.set()
        self._thread.join(HEARD_OUT_S)

    def _write_down(self) -> None:
        try:
            with suppress(OSError):  # a full disk: the rest goes on
                self._log.parent.mkdir(parents=True, exist_ok=True)
                with self._log.open("w", encoding="utf-8") as log:
                    self._write(log)
        finally:
            self._listening.set()

    def _write(self, log: TextIO) -> None:
        last = False
        while not last and not self.is_cut:
            last = self._over.is_set()  # what it said before that is asked for once more
            try:
                self._hear(log)
            except ClusterError as error:
                last = last or error.status == NOT_THERE
            self._listening.set()
            log.flush()
            self._over.wait(0.0 if last else PAUSE_S)
        log.write(CUT if self.is_cut else _text(self._rest))

    def _hear(self, log: TextIO) -> None:
        """Write down each line that is new, as long as the connection lasts."""
        params = {"follow": "true", "timestamps": "true"}
        known, twice = self._stamp, self._same
        if known:
            params["sinceTime"] = known.decode("ascii", "replace")
        with self._cluster.stream(self._path, params) as pieces:
            self._listening.set()
            line = b""
            for piece in pieces:
                *whole, line = (line + piece).split(b"\n")
                for each in whole:
                    stamp = _stamp(each)
                    if stamp == known and twice:  # of a coarse clock some have the same
                        twice -= 1
                    elif stamp >= known:
                        self._take(log, stamp, each)
                log.flush()
                if self._left - len(line) <= 0:
                    self.is_cut = True
                    return
            if line and _stamp(line) > self._stamp:  # else it comes whole the next time
                self._rest = line

    def _take(self, log: TextIO, stamp: bytes, line: bytes) -> None:
        self._same = self._same + 1 if stamp == self._stamp else 1
        self._stamp, self._rest = stamp, b""
        self._left -= len(line)
        log.write(_text(line) + "\n")


def _stamp(line: bytes) -> bytes:
    """Return when a line was printed: as the node writes it, always as long, so that later is greater."""
    return line.partition(b" ")[0]


def _text(line: bytes) -> str:
    return hidden(line.partition(b" ")[2].decode("utf-8", "replace"))
