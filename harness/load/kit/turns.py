"""Conversations: a turn is sent when it is due, and not before the answer to the turn before it is there."""

from __future__ import annotations

from collections.abc import Callable

from gevent.event import Event

from harness.records.sent import Arrival


class Turns:
    """Lets the turns of each session follow one another.

    A person reads an answer before they go on. A turn that had to wait is due when that answer was there,
    and its latency counts from then: what it waited is the latency of the turn before.

    Args:
        call: makes a call and returns when it has ended; gets the arrival and its due time.
        now: Unix seconds.
    """

    def __init__(self, call: Callable[[Arrival, float], None], now: Callable[[], float]) -> None:
        self._call = call
        self._now = now
        self._last: dict[str, Event] = {}

    def call(self, arrival: Arrival, due_s: float) -> None:
        """Make a call when the one before it in its session has ended."""
        before = self._last.get(arrival.session_id)
        self._last[arrival.session_id] = mine = Event()
        try:
            if before is not None and not before.is_set():
                before.wait()
                due_s = max(due_s, self._now())
            self._call(arrival, due_s)
        finally:
            mine.set()
            if self._last[arrival.session_id] is mine:
                del self._last[arrival.session_id]
