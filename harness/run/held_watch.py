"""Looks at what the containers hold while a load lasts: a soak is about that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final, Self

import httpx

from harness.clock import Clock
from harness.contract import METRICS
from harness.outside.http import control_client
from harness.records.seen import MetricPoint

TIMEOUT_S: Final = 2.0
PREFIX: Final = "agentrig."
LOOKS: Final = 400
"""At the most, in a load: a longer one is looked at less often."""
LEAST_S: Final = 1.0


def interval_s(load_s: float) -> float:
    """Return the seconds between two looks, for a load of such a length."""
    return max(LEAST_S, load_s / LOOKS)


class HeldWatch:
    """A thread that looks at an interval.

    Args:
        held: returns what each container holds by now, by its name.
        store: returns what the store tells of its size, None for nothing.
        urls: returns the base URL of each container.
        experiment, arm: what the points are marked with.
        interval_s: seconds between two looks.
        clock: says when a look was.
        fetch: gets the text at an URL; over HTTP by default.
    """

    def __init__(
        self,
        held: Callable[[], Mapping[str, Mapping[str, float]]],
        store: Callable[[], float | None],
        urls: Callable[[], Mapping[str, str]],
        *,
        experiment: str,
        arm: str,
        interval_s: float,
        clock: Clock,
        fetch: Callable[[str], str] | None = None,
    ) -> None:
        self._held = held
        self._store = store
        self._urls = urls
        self._experiment = experiment
        self._arm = arm
        self._interval_s = interval_s
        self._clock = clock
        self._fetch = fetch or _text
        self._points: list[MetricPoint] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="held", daemon=True)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def points(self) -> tuple[MetricPoint, ...]:
        """Return what was seen so far."""
        return tuple(self._points)

    def look(self) -> None:
        """Look at all of them once."""
        for name, figures in self._held().items():
            for what, value in figures.items():
                self._note(name, what, value)
        for name, url in self._urls().items():
            try:
                lines = self._fetch(url + METRICS).splitlines()
            except httpx.HTTPError:
                continue  # it is gone, or has none
            self._note(name, "series", float(sum(not line.startswith("#") for line in lines)))
        size = self._store()
        if size is not None:
            self._note("store", "store.size", size)

    def _note(self, source: str, what: str, value: float) -> None:
        self._points.append(
            MetricPoint(
                experiment=self._experiment,
                arm=self._arm,
                time_s=self._clock.now(),
                source=source,
                name=PREFIX + what,
                value=value,
            )
        )

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.look()


def _text(url: str) -> str:
    with control_client(TIMEOUT_S) as client:
        return client.get(url).raise_for_status().text
