"""What goes over the wire in answer to a call, as plain data: what, when, and how it ends.

A fault is a function from the reply that would have been to the one that is; only `delivery.py`
knows a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from harness.simulator.wire.protocol import Headers

Step = tuple[float, bytes]
"""When a piece is due, in seconds since the call arrived; and the piece."""


class Ending(Enum):
    """How a reply ends, after its last step."""

    CLEAN = "clean"
    """As HTTP wants it."""
    CUT = "cut"
    """The connection is closed, though HTTP says that more is to come."""
    RESET = "reset"
    """The connection is reset."""
    HANG = "hang"
    """Nothing more comes, for `Reply.hang_s`; then the connection is reset."""


@dataclass(slots=True, kw_only=True)
class Reply:
    """A reply.

    Attributes:
        status: of HTTP; 0 when not one byte is sent.
        headers: without the length.
        steps: the pieces of the body in order of their time.
        length: of the body as announced; None for a body in chunks.
        head_s: when the head is due, in seconds since the call arrived.
        ending: what comes after the last step.
        hang_s: how long an ending in silence lasts.
    """

    status: int
    headers: Headers
    steps: Sequence[Step]
    length: int | None = None
    head_s: float = 0.0
    ending: Ending = Ending.CLEAN
    hang_s: float = 0.0

    @property
    def last_s(self) -> float:
        """When its last byte is due, in seconds since the call arrived."""
        return self.steps[-1][0] if self.steps else self.head_s

    @property
    def over_s(self) -> float:
        """When it is over, in seconds since the call arrived: after the silence, where it ends in one."""
        return self.last_s + (self.hang_s if self.ending is Ending.HANG else 0.0)

    @property
    def at_once(self) -> bool:
        """Whether all of it is due when the call arrives."""
        return self.ending is Ending.CLEAN and self.status > 0 and self.last_s <= 0

    def ended_after(self, steps: int, ending: Ending, *, hang_s: float = 0.0) -> Reply:
        """Return this reply with so many steps, never the last one, which ends it; and another ending."""
        return replace(self, steps=self.before_end(steps), ending=ending, hang_s=hang_s)

    def before_end(self, steps: int) -> Sequence[Step]:
        """Return its first steps; where it is too short to have so many, all but the last one."""
        return self.steps[: min(steps, max(0, len(self.steps) - 1))]

    def retimed(self, change: Callable[[float], float]) -> Reply:
        """Return this reply with its steps at other times; the head stays."""
        return replace(self, steps=[(change(due_s), piece) for due_s, piece in self.steps])


def at_once(status: int, headers: Headers, body: bytes, *, due_s: float = 0.0) -> Reply:
    """Return a reply of one piece."""
    return Reply(status=status, headers=headers, steps=[(due_s, body)], length=len(body), head_s=due_s)


def nothing(ending: Ending, *, hang_s: float = 0.0) -> Reply:
    """Return a reply without a byte."""
    return Reply(status=0, headers=[], steps=[], ending=ending, hang_s=hang_s)
