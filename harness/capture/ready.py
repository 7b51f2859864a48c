"""Asks the agents for `/readyz` while a load lasts, each by itself: one that hangs keeps nobody waiting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import httpx

from harness.capture.watch import Watch, Watching
from harness.contract import READY
from harness.outside.http import control_client

TIMEOUT_S: Final = 1.0
"""What gives no answer within that is not ready: a balancer would wait no longer."""
Ask = Callable[[str], int]
"""Returns the HTTP status at an URL; raises `httpx.HTTPError` when there is none."""


class ReadyWatch(Watch):
    """Asks each container at an interval.

    Args:
        targets: returns where each container says whether it is ready, by its name; asked once.
        how: it looks.
        ask: gets the status; over HTTP by default.
    """

    def __init__(
        self, targets: Callable[[], Mapping[str, str]], how: Watching, ask: Ask | None = None
    ) -> None:
        super().__init__(how)
        self._targets = targets
        self._ask = ask or _status

    def looks(self) -> list[Callable[[], None]]:
        """Return a look for each container."""
        return [partial(self.look, name, url) for name, url in self._targets().items()]

    def look(self, name: str, url: str) -> None:
        """Ask one container once."""
        now = self._how.clock.now
        time_s = now()
        try:
            ready = self._ask(url) == httpx.codes.OK
        except httpx.HTTPError:
            ready = False
        self.note(name, READY, float(ready), at_s=time_s, took_s=now() - time_s)


def _status(url: str) -> int:
    with control_client(TIMEOUT_S) as client:
        return client.get(url).status_code
