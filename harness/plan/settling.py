"""How long a queue takes to settle, and how sure a simulation of some length is of its tail.

With few slots free, a queue forgets what it was only after many services: its relaxation time. A simulation
tells of the slowest hundredth by how many of those it lasts, and where these are few, its replications are
all too short alike: their own spread says too little. Both are known of the reflected Brownian motion that
such a queue tends to (Whitt, "Planning queueing simulations", 1989; for M/M/1 the relaxation time is exact).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from harness.plan.records import Fleet, Routing
from harness.plan.theory import erlang_c

SEPARATE: Final = (Routing.BLIND, Routing.PING)
"""Routings with a queue in each container; the others have about one for all slots."""
TAIL: Final = 0.01
LEAST_TIMES: Final = 10
"""Relaxation times that a replication lasts, at the least, to say anything: its first tenth is then one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What requests wait in.

    Attributes:
        slots: that serve it.
        load: slots in use on average.
        service_s: the mean of what a request holds one.
        spread: the square of that time's coefficient of variation.
        count: such queues side by side.
    """

    slots: int
    load: float
    service_s: float
    spread: float
    count: int = 1

    @property
    def relaxation_s(self) -> float:
        """After how long it has forgotten most of what it was; infinity in overload."""
        if self.load >= self.slots:
            return math.inf
        free = (math.sqrt(self.slots) - math.sqrt(self.load)) ** 2
        return self.service_s * (1 + (1 + self.spread) / 2 / free)

    @property
    def wait_s(self) -> float:
        """About the p99 of the wait: Erlang's, scaled by how service times vary."""
        late = erlang_c(self.slots, self.load)
        if late <= TAIL or self.load >= self.slots:
            return 0.0
        return math.log(late / TAIL) * self.service_s / (self.slots - self.load) * (1 + self.spread) / 2

    def error(self, lasts_s: float) -> float:
        """Return the standard error of the wait's p99 in so many seconds, as a share of it."""
        late = erlang_c(self.slots, self.load)
        if late <= TAIL or self.load >= self.slots:
            return 0.0
        # in units of the diffusion: drift 1, variance 1, two of which are a relaxation time
        units = 2 * lasts_s * self.count / self.relaxation_s * late
        tail = TAIL / late
        place = -math.log(tail) / 2
        variance = 2 * tail**2 * ((1 / tail - 1) / 2 - 2 * place + (1 - tail) / 2) + tail * (1 - tail) ** 2
        return math.sqrt(variance / units) / (2 * tail) / place


def queue_of(fleet: Fleet, load: float, service_s: float, spread: float) -> Queue | None:
    """Return what the requests of a fleet wait in; None where the number of its containers changes.

    And where nobody waits, since who finds no slot is refused.
    """
    if fleet.routing in {Routing.SESSION, Routing.READINESS} or fleet.scaling is not None:
        return None
    count = fleet.containers if fleet.routing in SEPARATE else 1
    slots = fleet.containers * fleet.limit // count
    return Queue(slots=slots, load=load / count, service_s=service_s, spread=spread, count=count)
