"""The routing of a plain Service: containers are probed now and then, and full ones refuse."""

from __future__ import annotations

import math
from bisect import insort

from harness.plan.engine import Simulation
from harness.plan.records import End


class Probed:
    """One by chance of those that were not full when they were probed last; a full one refuses for good.

    Each is probed from an instant of its own on, as each pod is, and counts as ready until then. That a pod
    is lost is known at once here, and a probe's answer everywhere: on a cluster both take a moment more.
    """

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._limit = sim.fleet.limit
        self._every_s = sim.fleet.probe_s
        self._ready: list[int] = []
        self._first_s: dict[int, float] = {}
        self._to_be_seen: set[int] = set()
        self.waiting = 0
        """Nobody waits for a container."""

    def arrive(self, request: int, now_s: float) -> None:
        """Take a request."""
        sim, ready = self._sim, self._ready
        if not ready:
            sim.fail(request, now_s, End.BLOCKED)
            return
        container = ready[int(sim.uniform() * len(ready))]
        if sim.load[container] < self._limit:
            sim.begin(request, container, now_s)
            self._look_at(container, now_s)
        else:
            sim.turned_away += 1
            sim.fail(request, now_s, End.BLOCKED)

    def answered(self, request: int, container: int, now_s: float) -> None:
        """Nothing is counted here."""

    def freed(self, container: int, now_s: float) -> None:
        """Let the next probe see it."""
        self._look_at(container, now_s)

    def joined(self, container: int, now_s: float) -> None:
        """Take a container in."""
        self._first_s[container] = now_s + self._sim.uniform() * self._every_s
        insort(self._ready, container)

    def left(self, container: int, now_s: float) -> None:
        """Leave a container out."""
        del now_s
        del self._first_s[container]
        if container in self._ready:
            self._ready.remove(container)

    def killed(self, container: int, now_s: float) -> None:
        """Nobody waits inside a container."""

    def _look_at(self, container: int, now_s: float) -> None:
        """Let the next probe see a container; where nothing has changed it would tell the same again."""
        if container in self._first_s and container not in self._to_be_seen:
            self._to_be_seen.add(container)
            first_s = self._first_s[container]
            probes = max(0, math.floor((now_s - first_s) / self._every_s) + 1)
            self._sim.at(max(now_s, first_s + probes * self._every_s), self._probe, container)

    def _probe(self, _now_s: float, container: int) -> None:
        self._to_be_seen.discard(container)
        if container not in self._first_s:
            return  # it has left meanwhile
        is_full, is_ready = self._sim.load[container] >= self._limit, container in self._ready
        if is_full and is_ready:
            self._ready.remove(container)
        elif not is_full and not is_ready:
            insort(self._ready, container)
