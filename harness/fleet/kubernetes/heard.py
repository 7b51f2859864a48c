"""What a pod prints, written down while it runs: once it is deleted, the cluster tells nothing any more."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

from harness.fleet.kubernetes.api import FORBIDDEN, NOT_THERE, PAUSE_S, QUIET_S, Cluster, ClusterError
from harness.fleet.kubernetes.printed import Printed
from harness.outside.secrets import hidden

MOST_BYTES: Final = 10 * 1024 * 1024
HEARD_OUT_S: Final = 3.0
"""How long what an ended pod printed may take to arrive."""
CUT: Final = f"(agentrig: more than {MOST_BYTES // 2**20} MiB, the rest is not kept)\n"


class Heard:
    """The log of one pod, written on a thread of its own.

    Args:
        cluster: that tells it.
        path: of the log in the API.
        log: gets it.
    """

    def __init__(self, cluster: Cluster, path: str, log: Path) -> None:
        self._printed = Printed(cluster, path, quiet_s=QUIET_S, most_bytes=MOST_BYTES)
        self._log = log
        self._listening = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write_down, daemon=True)
        self._thread.start()

    @property
    def is_cut(self) -> bool:
        """Whether it was too much, and the end is missing."""
        return self._printed.is_cut

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
                with self._log.open("w", buffering=1, encoding="utf-8") as log:
                    self._write(log)
        finally:
            self._listening.set()

    def _write(self, log: TextIO) -> None:
        last = False
        while not last and not self.is_cut:
            last = self._over.is_set()  # what it said before that is asked for once more
            try:
                log.writelines(hidden(line) + "\n" for line in self._printed.hear(self._listening.set))
            except ClusterError as error:
                if error.status == FORBIDDEN:
                    log.write(f"(agentrig: {error})\n")
                    return
                last = last or error.status == NOT_THERE
            self._listening.set()
            self._over.wait(0.0 if last else PAUSE_S)
        log.write(CUT if self.is_cut else hidden(self._printed.rest))
