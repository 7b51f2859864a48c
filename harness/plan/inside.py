"""Routings whose containers take all that they are sent: requests wait inside."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from harness.plan.engine import Simulation
from harness.plan.levels import Levels

POLL_GROUPS: Final = 16
"""Containers are looked at in so many groups, one after the other within the interval."""


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
        self._changed: list[set[int]] = [set() for _ in range(POLL_GROUPS)]

    def choose(self, request: int) -> int | None:
        """Return the container for a request, None when there is none."""
        if self._free:
            balancer = request % len(self._at)
            self._at[balancer] += 1
            container: int | None = self._free[self._at[balancer] % len(self._free)]
        else:
            container = super().choose(request)
        if container is not None:
            self._look_at(container, self._sim.now_s)
        return container

    def freed(self, container: int, now_s: float) -> None:
        """Let who waits have the slot."""
        super().freed(container, now_s)
        self._look_at(container, now_s)

    def _look_at(self, container: int, now_s: float) -> None:
        """Let the next poll see a container; one of which nothing changed would tell the same again."""
        group = container % POLL_GROUPS
        if not self._changed[group]:
            first = (group + 1) / POLL_GROUPS
            polls = max(0, math.floor(now_s / self._sim.fleet.ping_s - first) + 1)
            self._sim.at(max(now_s, (polls + first) * self._sim.fleet.ping_s), self._look, group)
        self._changed[group].add(container)

    def _look(self, _now_s: float, group: int) -> None:
        changed = False
        for container in self._changed[group]:
            if container not in self._sim.up:
                continue
            busy = self._sim.load[container] >= self._limit
            if busy != (container in self._busy):
                changed = True
                (self._busy.add if busy else self._busy.discard)(container)
        self._changed[group].clear()
        if changed:
            self._known()

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
