"""How requests come to containers: a class a routing, as the balancers that are measured do it.

`harness/fleet/envoy.py` says how each is set up there.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from harness.plan.engine import Router, Simulation
from harness.plan.levels import Levels
from harness.plan.records import End, Routing

BACKOFF_S: Final = 0.005
"""A refused request is offered again after a random part of this, three times it, seven times it, ..."""
MOST_BACKOFF_S: Final = {Routing.BUSY_AWARE: 0.020, Routing.BUSY_503: 0.050}
SELECTIONS: Final = 10
"""So often a balancer draws again where it drew a container that has refused this request before."""
POLL_GROUPS: Final = 16
"""Containers are looked at in so many groups, one after the other within the interval."""


class _Offering:
    """Offers requests to containers that refuse when they are full, until one takes them."""

    def __init__(self, sim: Simulation, routing: Routing) -> None:
        self._sim = sim
        self._levels = [Levels() for _ in range(sim.fleet.balancers)]
        self._most_s = MOST_BACKOFF_S[routing]
        self._by: dict[int, tuple[int, int]] = {}
        self._path_s = sim.fleet.path_s if routing is Routing.BUSY_AWARE else 0.0
        self._limit = sim.fleet.limit
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
        sim.at(now_s + sim.uniform() * most_s, self._offer, (request, balancer, attempt + 1, tried))

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
        """Nobody waits inside a container."""

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
        """Nobody waits inside a container."""

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


class _Inside:
    """Requests wait inside the container that they were sent to; how it is chosen is the subclass's."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._limit = sim.fleet.limit
        self._queues: dict[int, deque[int]] = {}
        self._stranded: deque[int] = deque()
        self._waiting = 0

    def choose(self, request: int) -> int | None:
        """Return the container for a request, None when there is none."""
        raise NotImplementedError

    def arrive(self, request: int, now_s: float) -> None:
        """Take a request."""
        container = self.choose(request)
        if container is None:
            self._stranded.append(request)
            self._waiting += 1
        elif self._sim.load[container] < self._limit:
            self._sim.begin(request, container, now_s)
        else:
            self._queues[container].append(request)
            self._waiting += 1

    def answered(self, request: int, container: int, now_s: float) -> None:
        """Nothing is counted here."""

    def freed(self, container: int, now_s: float) -> None:
        """Let who waits have the slot."""
        queue = self._queues.get(container)
        if queue:
            self._waiting -= 1
            self._sim.begin(queue.popleft(), container, now_s)

    def joined(self, container: int, now_s: float) -> None:
        """Take a container in."""
        self._queues[container] = deque()
        while self._stranded:
            self._waiting -= 1
            self.arrive(self._stranded.popleft(), now_s)

    def left(self, container: int, now_s: float) -> None:
        """What waits inside is still worked on."""

    def killed(self, container: int, now_s: float) -> None:
        """Lose what waits inside a container."""
        for request in self._queues.pop(container):
            self._waiting -= 1
            self._sim.lose(request, now_s)

    @property
    def waiting(self) -> int:
        """Requests that wait for a container."""
        return self._waiting


class LeastRequest(_Inside):
    """The fewest requests in flight, by each balancer's own count."""

    def __init__(self, sim: Simulation) -> None:
        super().__init__(sim)
        self._levels = [Levels() for _ in range(sim.fleet.balancers)]

    def choose(self, request: int) -> int | None:
        """Return the container for a request, None when there is none."""
        levels = self._levels[request % len(self._levels)]
        container = levels.least(self._sim.uniform)
        if container is not None:
            levels.change(container, 1)
        return container

    def answered(self, request: int, container: int, now_s: float) -> None:
        """Count a request less."""
        del now_s
        self._levels[request % len(self._levels)].change(container, -1)

    def joined(self, container: int, now_s: float) -> None:
        """Take a container in."""
        for levels in self._levels:
            levels.add(container)
        super().joined(container, now_s)

    def left(self, container: int, now_s: float) -> None:
        """Leave a container out."""
        del now_s
        for levels in self._levels:
            levels.drop(container)


class RoundRobin(_Inside):
    """One after the other, whatever they have in work; each balancer goes its own round."""

    def __init__(self, sim: Simulation) -> None:
        super().__init__(sim)
        self._ring: list[int] = []
        self._next = [balancer * 7 for balancer in range(sim.fleet.balancers)]

    def choose(self, request: int) -> int | None:
        """Return the container for a request, None when there is none."""
        if not self._ring:
            return None
        balancer = request % len(self._next)
        self._next[balancer] += 1
        return self._ring[self._next[balancer] % len(self._ring)]

    def joined(self, container: int, now_s: float) -> None:
        """Take a container in."""
        self._ring.append(container)
        super().joined(container, now_s)

    def left(self, container: int, now_s: float) -> None:
        """Leave a container out."""
        del now_s
        self._ring.remove(container)


class Polled(RoundRobin):
    """Round robin over those whose `/ping` said that they were not busy when it was asked last.

    When all are busy by what is known, it goes round all of them, as Envoy does with degraded hosts.
    """

    def __init__(self, sim: Simulation) -> None:
        super().__init__(sim)
        self._free: list[int] = []
        self._at = [0] * sim.fleet.balancers
        self._busy: set[int] = set()
        for group in range(POLL_GROUPS):
            sim.at(sim.fleet.ping_s * (group + 1) / POLL_GROUPS, self._look, group)

    def choose(self, request: int) -> int | None:
        """Return the container for a request, None when there is none."""
        if not self._free:
            return super().choose(request)
        balancer = request % len(self._at)
        self._at[balancer] += 1
        return self._free[self._at[balancer] % len(self._free)]

    def _look(self, now_s: float, group: int) -> None:
        changed = False
        for container in self._ring[group::POLL_GROUPS]:
            busy = self._sim.load[container] >= self._limit
            if busy != (container in self._busy):
                changed = True
                (self._busy.add if busy else self._busy.discard)(container)
        if changed:
            self._known()
        self._sim.at(now_s + self._sim.fleet.ping_s, self._look, group)

    def _known(self) -> None:
        self._free = [container for container in self._ring if container not in self._busy]

    def joined(self, container: int, now_s: float) -> None:
        """Take a container in."""
        super().joined(container, now_s)
        self._known()

    def left(self, container: int, now_s: float) -> None:
        """Leave a container out."""
        super().left(container, now_s)
        self._busy.discard(container)
        self._known()


class PerSession:
    """A container for each session: started for its first request, stopped once it has been idle for long."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._of: dict[int, int] = {}
        self._queues: dict[int, deque[int]] = {}
        self._last_s: dict[int, float] = {}
        self._starting: set[int] = set()
        self._waiting = 0

    def arrive(self, request: int, now_s: float) -> None:
        """Take a request."""
        session = self._sim.session[request]
        container = self._of.get(session)
        if container is None:
            if len(self._of) >= self._sim.fleet.containers:
                self._sim.fail(request, now_s, End.BLOCKED)
                return
            container = self._of[session] = len(self._sim.load)
            self._queues[container] = deque([request])
            self._starting.add(container)
            self._waiting += 1
            self._sim.start_container(now_s, self._sim.fleet.cold_start_s)
        elif container in self._starting or self._sim.load[container] >= self._sim.fleet.limit:
            self._queues[container].append(request)
            self._waiting += 1
        else:
            self._sim.begin(request, container, now_s)

    def answered(self, request: int, container: int, now_s: float) -> None:
        """Count a request less."""
        self._last_s[container] = now_s
        self._sim.at(now_s + self._sim.fleet.idle_s, self._idle, (self._sim.session[request], container))

    def freed(self, container: int, now_s: float) -> None:
        """Let who waits have the slot."""
        self._last_s[container] = now_s
        queue = self._queues.get(container)
        if queue:
            self._waiting -= 1
            self._sim.begin(queue.popleft(), container, now_s)

    def _idle(self, now_s: float, what: tuple[int, int]) -> None:
        session, container = what
        idle = not self._sim.load[container] and container in self._sim.up
        if idle and now_s - self._last_s[container] >= self._sim.fleet.idle_s - 1e-9:
            del self._of[session]
            self._sim.stop_container(container, now_s)

    def joined(self, container: int, now_s: float) -> None:
        """Take a container in."""
        self._starting.discard(container)
        self.freed(container, now_s)

    def left(self, container: int, now_s: float) -> None:
        """Its session was told of already."""

    def killed(self, container: int, now_s: float) -> None:
        """Lose what waits inside a container."""
        self._of = {session: each for session, each in self._of.items() if each != container}
        for request in self._queues.pop(container, ()):
            self._waiting -= 1
            self._sim.lose(request, now_s)

    @property
    def waiting(self) -> int:
        """Requests that wait for a container."""
        return self._waiting


def router_of(sim: Simulation) -> Router:
    """Return what routes the requests of a fleet."""
    match sim.fleet.routing:
        case Routing.BUSY_AWARE:
            return Gate(sim)
        case Routing.BUSY_503:
            return Refusing(sim)
        case Routing.LEAST_REQUEST:
            return LeastRequest(sim)
        case Routing.PING:
            return Polled(sim)
        case Routing.BLIND:
            return RoundRobin(sim)
        case Routing.SESSION:
            return PerSession(sim)
