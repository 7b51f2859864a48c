"""Busy signal: a container says when it has no free slot, and refuses what is sent nevertheless.

A request takes a second or a minute, so counting them tells a balancer little. The container itself
knows: it counts those in flight, says in `GET /ping` whether it is busy, and at its limit answers 503 at
once, before any work, so that the request may go to another container:

    busy = BusySignal(limit=4)

    slot = busy.try_acquire()
    if slot is None:
        return Response(503)                # at once: no wait, no work begun, safe to retry
    with slot:
        ...

    {"status": busy.status, "time_of_last_update": busy.changed_at}         # GET /ping

`changed_at` is stamped when the status changes, never when it is asked for: a platform takes an
idle container whose stamp keeps moving for an active one, and never stops it.

A container that leaves, or lacks what each request needs, calls `block`: it is busy without work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

Status = Literal["Healthy", "HealthyBusy"]


@dataclass(frozen=True, slots=True)
class BusyState:
    """The counts, as the hook gets them."""

    in_flight: int
    limit: int
    rejections: int

    @property
    def busy(self) -> bool:
        """Whether no slot is free."""
        return self.in_flight >= self.limit


class Slot:
    """One unit of work in a container; a context manager that gives the slot back exactly once.

    Work that goes on after the answer takes its slot along by `hand_over`, once the task exists that will
    release it. Whatever raises before that, the slot goes back with the `with` block.
    """

    __slots__ = ("_release",)

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Give the slot back; a second call changes nothing."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def hand_over(self) -> Slot:
        """Return a slot that is to be released in place of this one."""
        release, self._release = self._release, None
        return Slot(release or (lambda: None))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class BusySignal:
    """Counts the requests in flight of a container, and says whether it can take more.

    Use it from one event loop; it holds no lock.

    Args:
        limit: requests to work on at once.
        now: Unix time in seconds.
        hook: called at each change.

    Attributes:
        blocked: what keeps the container from work, in order; changed by `block` and `unblock`.
        changed_at: Unix seconds of the last change of `status`.
    """

    def __init__(
        self,
        limit: int,
        *,
        now: Callable[[], float] = time.time,
        hook: Callable[[BusyState], None] = lambda _: None,
    ) -> None:
        if limit < 1:
            raise ValueError(f"limit is {limit}; a container that takes no request is of no use")
        self._limit, self._now, self._hook = limit, now, hook
        self._in_flight = 0
        self._rejections = 0
        self.blocked: dict[str, None] = {}
        self.changed_at = int(now())

    @property
    def state(self) -> BusyState:
        """The counts as they are now."""
        return BusyState(self._in_flight, self._limit, self._rejections)

    @property
    def status(self) -> Status:
        """`HealthyBusy` while no slot is free, or something blocks."""
        return "HealthyBusy" if self.blocked or self.state.busy else "Healthy"

    def try_acquire(self) -> Slot | None:
        """Take a slot, or None when there is none; never waits."""
        if self.state.busy:
            self._rejections += 1
            self._hook(self.state)
            return None
        self._count(1)
        return Slot(lambda: self._count(-1))

    def block(self, reason: str) -> None:
        """Say `HealthyBusy` until `unblock`; who comes nevertheless is given a slot as before."""
        before, self.blocked[reason] = self.status, None
        self._stamp(before)

    def unblock(self, reason: str) -> None:
        """Take a reason back; one that is not there changes nothing."""
        before = self.status
        self.blocked.pop(reason, None)
        self._stamp(before)

    def restamp(self) -> None:
        """Stamp the status anew: restored from a snapshot, a process has the stamp of another life."""
        self.changed_at = int(self._now())

    def _count(self, step: int) -> None:
        before = self.status
        self._in_flight += step
        self._stamp(before)
        self._hook(self.state)

    def _stamp(self, before: Status) -> None:
        if self.status != before:
            self.changed_at = int(self._now())
