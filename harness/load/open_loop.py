"""Sends what is due when it is due, whether or not earlier answers are in: an open loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.records.sent import Arrival

LATE_S = 0.005
"""A request sent later than this after it was due counts as late."""
YIELDS_AFTER = 100
"""A load that is far behind waits for nothing: it must still hear that it is to end."""


@dataclass
class ArrivalCounts:
    """What became of the arrivals so far.

    Attributes:
        due: how many had their time.
        sent: how many went out.
        late: how many of those went out more than `LATE_S` after their time.
        dropped: how many were not sent, as too many were in flight.
        in_flight: how many are out now.
    """

    due: int = 0
    sent: int = 0
    late: int = 0
    dropped: int = 0
    in_flight: int = 0

    def __add__(self, other: ArrivalCounts) -> ArrivalCounts:
        return ArrivalCounts(
            due=self.due + other.due,
            sent=self.sent + other.sent,
            late=self.late + other.late,
            dropped=self.dropped + other.dropped,
            in_flight=self.in_flight + other.in_flight,
        )

    def __sub__(self, before: ArrivalCounts) -> ArrivalCounts:
        return ArrivalCounts(
            due=self.due - before.due,
            sent=self.sent - before.sent,
            late=self.late - before.late,
            dropped=self.dropped - before.dropped,
            in_flight=self.in_flight - before.in_flight,
        )

    def without_those_under_way(self) -> ArrivalCounts:
        """Return the counts of the arrivals whose calls have ended, or were dropped."""
        return ArrivalCounts(
            due=self.due - self.in_flight,
            sent=self.due - self.dropped - self.in_flight,
            late=self.late,
            dropped=self.dropped,
        )


class OpenLoop:
    """A driver of arrivals.

    Args:
        send: makes one call and returns when it has ended; gets the arrival and its due time.
        spawn: runs a function with arguments concurrently, and returns at once.
        now: Unix seconds.
        sleep: waits for seconds.
        max_in_flight: above it an arrival is dropped.
        on_drop: is told of each dropped arrival.
    """

    def __init__(
        self,
        send: Callable[[Arrival, float], None],
        *,
        spawn: Callable[..., object],
        now: Callable[[], float],
        sleep: Callable[[float], None],
        max_in_flight: int,
        on_drop: Callable[[Arrival], None] = lambda _: None,
    ) -> None:
        self.counts = ArrivalCounts()
        self._send = send
        self._spawn = spawn
        self._now = now
        self._sleep = sleep
        self._max_in_flight = max_in_flight
        self._on_drop = on_drop

    def run(self, arrivals: Iterable[Arrival], start_s: float) -> None:
        """Send all `arrivals`; returns when the last was sent, not when it was answered.

        Args:
            arrivals: in the order they are due.
            start_s: the Unix time that their `due_s` counts from.
        """
        for number, arrival in enumerate(arrivals, start=1):
            due_s = start_s + arrival.due_s
            while (wait_s := due_s - self._now()) > 0:
                self._sleep(wait_s)
            self._dispatch(arrival, due_s)
            if number % YIELDS_AFTER == 0:
                self._sleep(0)

    def _dispatch(self, arrival: Arrival, due_s: float) -> None:
        self.counts.due += 1
        if self.counts.in_flight >= self._max_in_flight:
            self.counts.dropped += 1
            self._on_drop(arrival)
            return
        self.counts.in_flight += 1
        self._spawn(self._one, arrival, due_s)

    def _one(self, arrival: Arrival, due_s: float) -> None:
        self.counts.sent += 1
        self.counts.late += self._now() - due_s > LATE_S
        try:
            self._send(arrival, due_s)
        finally:
            self.counts.in_flight -= 1
