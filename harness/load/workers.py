"""Greenlets that run one function after another: a fresh one for each takes longer than most of a call."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gevent.pool import Group
from gevent.queue import JoinableQueue

log = logging.getLogger("agentrig.load")


class Workers:
    """Runs functions concurrently, in as many greenlets as there ever were functions at once."""

    def __init__(self) -> None:
        """Begin without any."""
        self._jobs: JoinableQueue[tuple[Callable[..., object], tuple[object, ...]]] = JoinableQueue()
        self._greenlets = Group()
        self._free = 0

    def spawn(self, function: Callable[..., object], *args: object) -> None:
        """Run a function with arguments soon; what it raises is logged."""
        if self._free:
            self._free -= 1
        else:
            self._greenlets.spawn(self._work)
        self._jobs.put((function, args))

    def join(self) -> None:
        """Wait until all functions have returned, and let the greenlets end."""
        self._jobs.join()
        self._greenlets.kill()
        self._free = 0

    def _work(self) -> None:
        while True:
            function, args = self._jobs.get()
            try:
                function(*args)
            except Exception:
                log.exception("a call ended unforeseen")
            self._free += 1
            self._jobs.task_done()
