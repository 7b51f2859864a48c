"""A container for each session, as AgentCore Runtime has it."""

from __future__ import annotations

from collections import deque

from harness.plan.engine import Simulation
from harness.plan.records import End


class PerSession:
    """A container for each session: started for its first request, stopped once it has been idle for long."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._of: dict[int, int] = {}
        self._session: dict[int, int] = {}
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
            self._session[container] = session
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
        """A container is idle once its slot is free, which is later where work goes on."""

    def freed(self, container: int, now_s: float) -> None:
        """Let who waits have the slot."""
        self._last_s[container] = now_s
        queue = self._queues.get(container)
        if queue:
            self._waiting -= 1
            self._sim.begin(queue.popleft(), container, now_s)
        else:
            self._sim.at(now_s + self._sim.fleet.idle_s, self._idle, container)

    def _idle(self, now_s: float, container: int) -> None:
        idle = not self._sim.load[container] and container in self._sim.up
        if idle and now_s - self._last_s[container] >= self._sim.fleet.idle_s - 1e-9:
            del self._of[self._session.pop(container)]
            self._sim.stop_container(container, now_s)

    def joined(self, container: int, now_s: float) -> None:
        """Take a container in."""
        self._starting.discard(container)
        self.freed(container, now_s)

    def left(self, container: int, now_s: float) -> None:
        """Its session was told of already."""

    def killed(self, container: int, now_s: float) -> None:
        """Lose what waits inside a container."""
        del self._of[self._session.pop(container)]
        for request in self._queues.pop(container, ()):
            self._waiting -= 1
            self._sim.lose(request, now_s)

    @property
    def waiting(self) -> int:
        """Requests that wait for a container."""
        return self._waiting
