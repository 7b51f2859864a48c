"""Routings whose containers refuse when they are full: the gate, and the 503 alone.

`harness/fleet/envoy.py` says how each is set up there.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from harness.plan.engine import Simulation
from harness.plan.levels import Levels
from harness.plan.records import End, Routing

BACKOFF_S: Final = 0.005
"""A refused request is offered again after a random part of this, three times it, seven times it, ..."""
MOST_BACKOFF_S: Final = {Routing.BUSY_AWARE: 0.020, Routing.BUSY_503: 0.050}
LONGEST_FROM: Final = 5
"""From so many refusals on, the next waits are as long as they get."""
SELECTIONS: Final = 10
"""So often a balancer draws again where it drew a container that has refused this request before."""


class _Offering:
    """Offers requests to containers that refuse when they are full, until one takes them."""

    def __init__(self, sim: Simulation, routing: Routing) -> None:
        self._sim = sim
        self._levels = [Levels() for _ in range(sim.fleet.balancers)]
        self._most_s = MOST_BACKOFF_S[routing]
        self._by: dict[int, tuple[int, int]] = {}
        self._path_s = sim.fleet.path_s if routing is Routing.BUSY_AWARE else 0.0
        self._limit = sim.fleet.limit
        self._still = sim.fleet.scaling is None and not sim.fleet.lost
        self._parked: list[tuple[float, tuple[int, int, int, tuple[int, ...]]]] = []
        """Requests that nobody can take, since when: all slots are in use, so each offer would be refused."""
        self.waiting = 0
        """Requests that were refused, and are not taken yet."""

    def send(self, request: int, balancer: int, now_s: float) -> None:
        """Offer a request to the container that has the fewest of this balancer's."""
        self._offer(now_s, (request, balancer, 1, ()))

    def _offer(self, now_s: float, what: tuple[int, int, int, tuple[int, ...]]) -> None:
        request, balancer, attempt, refused = what
        sim, levels = self._sim, self._levels[balancer]
        container = levels.least(sim.uniform)
        for _ in range(SELECTIONS):
            if container not in refused:
                break
            container = levels.least(sim.uniform)
        if container is not None and sim.load[container] < self._limit:
            levels.change(container, 1)
            self._by[request] = balancer, container
            self.waiting -= attempt > 1
            sim.begin(request, container, now_s, self._path_s)
            return
        self.waiting += attempt == 1
        sim.turned_away += container is not None
        most_s = min(BACKOFF_S * (2 ** min(attempt, 10) - 1), self._most_s)
        tried = refused if container is None else (*refused, container)[-SELECTIONS:]
        again = request, balancer, attempt + 1, tried
        if self._still and attempt >= LONGEST_FROM and sim.in_work >= len(sim.up) * self._limit:
            self._parked.append((now_s, again))
        else:
            sim.at(now_s + sim.uniform() * most_s, self._offer, again)

    def freed(self, now_s: float) -> None:
        """Let those offer themselves again that nobody could take: a slot is free.

        They did so all the while, so each is somewhere within one of its waits.
        """
        for since_s, again in self._parked:
            self._sim.turned_away += round(2 * (now_s - since_s) / self._most_s)
            left_s = self._most_s * (1 - math.sqrt(1 - self._sim.uniform()))
            self._sim.at(now_s + left_s, self._offer, again)
        self._parked.clear()

    def ended(self, request: int) -> int:
        """Count a request of a balancer less, and return which that is."""
        balancer, container = self._by.pop(request)
        self._levels[balancer].change(container, -1)
        return balancer

    def joined(self, container: int) -> None:
        """Take a container in."""
        for levels in self._levels:
            levels.add(container)

    def left(self, container: int) -> None:
        """Leave a container out."""
        for levels in self._levels:
            levels.drop(container)


class Gate:
    """An admission queue (FIFO) in each balancer that lets in as many requests as there are slots.

    Beside others it lets in half-way between all slots and an even share of them.
    """

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._offering = _Offering(sim, Routing.BUSY_AWARE)
        self._queues: list[deque[int]] = [deque() for _ in range(sim.fleet.balancers)]
        self._let_in = [0] * sim.fleet.balancers
        self._places = 0

    def arrive(self, request: int, now_s: float) -> None:
        """Take a request."""
        balancer = request % len(self._queues)
        if self._let_in[balancer] < self._places:
            self._let_in[balancer] += 1
            self._offering.send(request, balancer, now_s)
        elif len(self._queues[balancer]) < self._sim.fleet.queue_limit:
            self._queues[balancer].append(request)
        else:
            self._sim.fail(request, now_s, End.BLOCKED)

    def answered(self, request: int, container: int, now_s: float) -> None:
        """Count a request less."""
        del container
        balancer = self._offering.ended(request)
        self._let_in[balancer] -= 1
        self._drain(balancer, now_s)

    def _drain(self, balancer: int, now_s: float) -> None:
        queue = self._queues[balancer]
        while queue and self._let_in[balancer] < self._places:
            self._let_in[balancer] += 1
            self._offering.send(queue.popleft(), balancer, now_s)

    def freed(self, container: int, now_s: float) -> None:
        """Nobody waits inside a container; who was refused by all may be taken now."""
        del container
        self._offering.freed(now_s)

    def joined(self, container: int, now_s: float) -> None:
        """Take a container in."""
        self._offering.joined(container)
        self._changed()
        for balancer in range(len(self._queues)):
            self._drain(balancer, now_s)

    def left(self, container: int, now_s: float) -> None:
        """Leave a container out."""
        del now_s
        self._offering.left(container)
        self._changed()

    def killed(self, container: int, now_s: float) -> None:
        """Nobody waits inside a container."""

    def _changed(self) -> None:
        slots = len(self._sim.up) * self._sim.fleet.limit
        self._places = math.ceil(slots * (1 + 1 / self._sim.fleet.balancers) / 2)

    @property
    def waiting(self) -> int:
        """Requests that wait for a container."""
        return sum(map(len, self._queues)) + self._offering.waiting


class Refusing:
    """A 503 at the limit, offered elsewhere until one takes it: a queue without an order."""

    def __init__(self, sim: Simulation) -> None:
        self._offering = _Offering(sim, Routing.BUSY_503)
        self._balancers = sim.fleet.balancers

    def arrive(self, request: int, now_s: float) -> None:
        """Take a request."""
        self._offering.send(request, request % self._balancers, now_s)

    def answered(self, request: int, container: int, now_s: float) -> None:
        """Count a request less."""
        del container, now_s
        self._offering.ended(request)

    def freed(self, container: int, now_s: float) -> None:
        """Nobody waits inside a container; who was refused by all may be taken now."""
        del container
        self._offering.freed(now_s)

    def joined(self, container: int, now_s: float) -> None:
        """Take a container in."""
        del now_s
        self._offering.joined(container)

    def left(self, container: int, now_s: float) -> None:
        """Leave a container out."""
        del now_s
        self._offering.left(container)

    def killed(self, container: int, now_s: float) -> None:
        """Nobody waits inside a container."""

    @property
    def waiting(self) -> int:
        """Requests that wait for a container."""
        return self._offering.waiting
