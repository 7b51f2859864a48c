"""Looks at what the containers hold while a load lasts: a soak is about that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import httpx

from harness.capture.watch import Watch, Watching
from harness.contract import METRICS
from harness.outside.http import control_client

TIMEOUT_S: Final = 2.0
PREFIX: Final = "agentrig."
LOOKS: Final = 400
"""At the most, in a load: a longer one is looked at less often."""
LEAST_S: Final = 1.0


def interval_s(load_s: float) -> float:
    """Return the seconds between two looks, for a load of such a length."""
    return max(LEAST_S, load_s / LOOKS)


class HeldWatch(Watch):
    """Looks at an interval.

    Args:
        held: returns what each container holds by now, by its name.
        store: returns what the store tells of its size, None for nothing.
        urls: returns the base URL of each container.
        how: it looks.
        fetch: gets the text at an URL; over HTTP by default.
    """

    def __init__(
        self,
        held: Callable[[], Mapping[str, Mapping[str, float]]],
        store: Callable[[], float | None],
        urls: Callable[[], Mapping[str, str]],
        how: Watching,
        fetch: Callable[[str], str] | None = None,
    ) -> None:
        super().__init__(how)
        self._held = held
        self._store = store
        self._urls = urls
        self._fetch = fetch or _text

    def looks(self) -> list[Callable[[], None]]:
        """Return the one look at all of them."""
        return [self.look]

    def look(self) -> None:
        """Look at all of them once."""
        for name, figures in self._held().items():
            for what, value in figures.items():
                self.note(name, PREFIX + what, value)
        for name, url in self._urls().items():
            try:
                lines = self._fetch(url + METRICS).splitlines()
            except httpx.HTTPError:
                continue  # it is gone, or has none
            self.note(name, PREFIX + "series", float(sum(not line.startswith("#") for line in lines)))
        size = self._store()
        if size is not None:
            self.note("store", PREFIX + "store.size", size)


def _text(url: str) -> str:
    with control_client(TIMEOUT_S) as client:
        return client.get(url).raise_for_status().text
