"""Asks the agents for `/readyz` while a load lasts, each by itself: one that hangs keeps nobody waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final, Self

import httpx

from harness.clock import Clock
from harness.contract import READY
from harness.outside.http import control_client
from harness.records.seen import MetricPoint

TIMEOUT_S: Final = 1.0
"""What gives no answer within that is not ready: a balancer would wait no longer."""
Ask = Callable[[str], int]
"""Returns the HTTP status at an URL; raises `httpx.HTTPError` when there is none."""


class ReadyWatch:
    """Threads that ask each container at an interval.

    Args:
        targets: returns where each container says whether it is ready, by its name; asked once.
        experiment, arm: what the points are marked with.
        interval_s: seconds between two looks.
        clock: says when a look began.
        ask: gets the status; over HTTP by default.
    """

    def __init__(
        self,
        targets: Callable[[], Mapping[str, str]],
        *,
        experiment: str,
        arm: str,
        interval_s: float,
        clock: Clock,
        ask: Ask | None = None,
    ) -> None:
        self._targets = targets
        self._experiment = experiment
        self._arm = arm
        self._interval_s = interval_s
        self._clock = clock
        self._ask = ask or _status
        self._points: list[MetricPoint] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Begin to ask."""
        for name, url in self._targets().items():
            thread = threading.Thread(target=self._run, args=(name, url), daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def points(self) -> tuple[MetricPoint, ...]:
        """Return what was seen so far."""
        return tuple(self._points)

    def look(self, name: str, url: str) -> None:
        """Ask one container once."""
        time_s = self._clock.now()
        try:
            ready = self._ask(url) == httpx.codes.OK
        except httpx.HTTPError:
            ready = False
        self._points.append(
            MetricPoint(
                experiment=self._experiment,
                arm=self._arm,
                time_s=time_s,
                source=name,
                name=READY,
                value=float(ready),
                took_s=self._clock.now() - time_s,
            )
        )

    def _run(self, name: str, url: str) -> None:
        while not self._stop.wait(self._interval_s):
            self.look(name, url)


def _status(url: str) -> int:
    with control_client(TIMEOUT_S) as client:
        return client.get(url).status_code
