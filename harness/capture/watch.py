"""What looks at the containers while a load lasts: at an interval, on threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from harness.clock import Clock
from harness.records.seen import MetricPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """How it is looked.

    Attributes:
        experiment, arm: what the points are marked with.
        interval_s: seconds between two looks.
        clock: says when a look was.
    """

    experiment: str
    arm: str
    interval_s: float
    clock: Clock


class Watch:
    """Keeps what it sees, for the length of a `with` block.

    Args:
        how: it looks.
    """

    def __init__(self, how: Watching) -> None:
        self._how = how
        self._points: list[MetricPoint] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def looks(self) -> list[Callable[[], None]]:
        """Return what is called at the interval, each on a thread of its own; asked once."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Begin to look."""
        for look in self.looks():
            thread = threading.Thread(target=self._run, args=(look,), daemon=True)
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

    def note(
        self,
        source: str,
        name: str,
        value: float,
        labels: Mapping[str, str] | None = None,
        *,
        at_s: float | None = None,
        took_s: float = 0.0,
    ) -> None:
        """Keep a sample.

        Args:
            source: of which process.
            name: what it tells.
            value: that.
            labels: of the sample.
            at_s: when it was asked for, in Unix seconds; now by default.
            took_s: how long the answer took.
        """
        self._points.append(
            MetricPoint(
                experiment=self._how.experiment,
                arm=self._how.arm,
                time_s=self._how.clock.now() if at_s is None else at_s,
                source=source,
                name=name,
                value=value,
                labels=labels or {},
                took_s=took_s,
            )
        )

    def _run(self, look: Callable[[], None]) -> None:
        while not self._stop.wait(self._how.interval_s):
            look()
