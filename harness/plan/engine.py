"""The discrete-event engine: events in the order of their time, one heap, plain Python.

What a request will take is drawn beforehand (`Work`); what is drawn here are ties, backoffs and faults. So
the arrivals need no place in the heap, a request that no quota holds up is one event there, and nothing that
is asked at an event looks at more than one container. Figures beside other ways of doing it: docs/plan.md.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from harness.plan.records import End, Fleet, ModelApi, Outcome, RetryRule, Work
from harness.simulator.quota import QuotaBuckets

Handler = Callable[[float, Any], None]
UNKNOWN_TOKENS = 1


class Router(Protocol):
    """How requests come to containers. Told of all that happens to both."""

    def arrive(self, request: int, now_s: float) -> None:
        """Take a request."""
        ...

    def answered(self, request: int, container: int, now_s: float) -> None:
        """A request has ended in a container, well or not: its answer is out."""
        ...

    def freed(self, container: int, now_s: float) -> None:
        """A slot of a container is free."""
        ...

    def joined(self, container: int, now_s: float) -> None:
        """A container takes requests from now on."""
        ...

    def left(self, container: int, now_s: float) -> None:
        """And this one none any more."""
        ...

    def killed(self, container: int, now_s: float) -> None:
        """What waited inside this one is lost with it."""
        ...

    @property
    def waiting(self) -> int:
        """Requests that wait for a container."""
        ...


class Simulation:
    """A fleet at work on some requests.

    Args:
        work: the requests.
        fleet: that works on them.
        model: what limits the model's answers.
        retry: what is done after a refusal.
        seed: of all that is drawn meanwhile.
        settle_s: what containers cost and do counts from then on.
    """

    def __init__(
        self,
        work: Work,
        fleet: Fleet,
        model: ModelApi,
        retry: RetryRule,
        seed: int,
        *,
        settle_s: float = 0.0,
    ) -> None:
        self.fleet = fleet
        self.uniform = random.Random(seed).random
        self.now_s = 0.0
        self.open = len(work)
        """Requests that have not ended."""
        self.load: list[int] = []
        """Requests in work, by container."""
        self.up: dict[int, float] = {}
        """Since when each container that takes requests does."""
        self.starting = 0
        self.in_work = 0
        self.turned_away = 0
        self.router: Router
        self._heap: list[tuple[float, int, Handler, Any]] = []
        self._number = itertools.count()
        self._due = work.due_s.tolist()
        self.session = work.session.tolist()
        self._held = work.service_s.tolist()
        self._after = work.after_s.tolist()
        self._any_after = bool(work.after_s.any())
        self._plain = model.unlimited
        self._first = work.first_call.tolist()
        self._before, self._call = work.before_s.tolist(), work.call_s.tolist()
        self._tokens, self._tail = work.tokens.tolist(), work.tail_s.tolist()
        self._model, self._retry = model, retry
        self._quota = None if model.quota is None else QuotaBuckets(model.quota, lambda: self.now_s)
        if self._quota is not None and model.spent:
            self._quota.drain()
        count = len(work)
        self._where = [-1] * count
        self._began = [float("nan")] * count
        self._ended = [float("nan")] * count
        self._ends = [int(End.ANSWERED)] * count
        self._running: list[set[int]] | None = [] if fleet.lost else None
        self._attempts = self._refused = self._calls = self._calls_in_work = 0
        self._container_s = self._work_s = self._work_before_s = 0.0
        self._most = 0
        if settle_s > 0:
            self.at(settle_s, self._settled, None)

    # --- time --------------------------------------------------------------------------
    def at(self, time_s: float, handler: Handler, what: Any) -> None:
        """Call `handler` with a time and `what` when that time has come."""
        heapq.heappush(self._heap, (time_s, next(self._number), handler, what))

    def run(self) -> Outcome:
        """Let all requests come and end."""
        heap, due, pop, arrive = self._heap, self._due, heapq.heappop, self.router.arrive
        count, index = len(due), 0
        next_s = due[0] if due else float("inf")
        while self.open:
            if heap and heap[0][0] <= next_s:
                now_s, _, handler, what = pop(heap)
                self.now_s = now_s
                handler(now_s, what)
            elif index < count:
                self.now_s = next_s
                if not self.up and not self.starting and self.fleet.scaling is not None:
                    self.start_container(next_s, self.fleet.cold_start_s)  # it was scaled to zero
                arrive(index, next_s)
                index += 1
                next_s = due[index] if index < count else float("inf")
            else:
                raise RuntimeError(f"{self.open} requests wait for a container that never comes")
        return self._outcome()

    # --- containers --------------------------------------------------------------------
    def start_container(self, now_s: float, delay_s: float) -> int:
        """Start a container; it takes requests after `delay_s`."""
        container = len(self.load)
        self.load.append(0)
        if self._running is not None:
            self._running.append(set())
        self._container_s -= now_s  # what it costs begins now, whatever it does
        if delay_s > 0:
            self.starting += 1
            self.at(now_s + delay_s, self._started, container)
        else:
            self._join(container, now_s)
        return container

    def _started(self, now_s: float, container: int) -> None:
        self.starting -= 1
        self._join(container, now_s)

    def _join(self, container: int, now_s: float) -> None:
        self.up[container] = now_s
        self._most = max(self._most, len(self.up))
        self.router.joined(container, now_s)

    def stop_container(self, container: int, now_s: float) -> None:
        """Take a container away; what it works on it ends."""
        del self.up[container]
        self._container_s += now_s
        self.router.left(container, now_s)

    def kill_container(self, container: int, now_s: float) -> None:
        """Lose a container with all that it has in work."""
        self.stop_container(container, now_s)
        self.router.killed(container, now_s)
        running = sorted(self._running[container]) if self._running is not None else []
        for request in running:
            self._leave(request, container, now_s)
            self._where[request] = -1
            if self._answered(request):
                continue  # what is lost is the work after the answer
            self.router.answered(request, container, now_s)
            self.lose(request, now_s)

    def lose(self, request: int, now_s: float) -> None:
        """Let a request be lost with its container: it fails, or is sent again."""
        if self.fleet.retry_lost:
            self.router.arrive(request, now_s)
        else:
            self.fail(request, now_s, End.LOST)

    def _settled(self, now_s: float, _what: None) -> None:
        """Leave out what was before."""
        self._container_s = -now_s * (len(self.up) + self.starting)
        before_s = self._work_s + now_s * self.in_work
        self._work_before_s, self._work_s = before_s, self._work_s - before_s

    # --- requests ----------------------------------------------------------------------
    def fail(self, request: int, now_s: float, end: End) -> None:
        """End a request that is in no container."""
        self._ended[request] = now_s
        self._ends[request] = int(end)
        self.open -= 1

    def _answered(self, request: int) -> bool:
        return not math.isnan(self._ended[request])

    def begin(self, request: int, container: int, now_s: float, path_s: float = 0.0) -> None:
        """Let a container begin to work; `path_s` is what the slot is held for beside the work."""
        self.load[container] += 1
        self.in_work += 1
        self._where[request] = container
        self._began[request] = now_s
        self._work_s -= now_s
        if self._running is not None:
            self._running[container].add(request)
        if self._plain:
            self.at(now_s + path_s + self._held[request], self._answer, (request, container))
            return
        first = self._first[request]
        if first == self._first[request + 1]:
            self.at(now_s + path_s + self._tail[request], self._answer, (request, container))
        else:
            self.at(now_s + path_s + self._before[first], self._ask, (request, container, first, 1))

    def _ask(self, now_s: float, what: tuple[int, int, int, int]) -> None:
        """Make an attempt of a model call."""
        request, container, call, attempt = what
        if self._where[request] != container:
            return  # lost meanwhile
        self._attempts += 1
        self._calls += attempt == 1
        told_s = 0.0
        if self._quota is not None:
            verdict = self._quota.ask(self._tokens[call] or UNKNOWN_TOKENS)
            if not verdict.admitted:
                self._refused += 1
                told_s = max(verdict.retry_after_s or 0.0, 0.0)
                self._refusal(now_s, what, told_s)
                return
        if self._model.fault_ratio and self.uniform() < self._model.fault_ratio:
            self._refusal(now_s, what, told_s)
            return
        takes_s = self._call[call]
        if self._model.under_load is not None:
            self._calls_in_work += 1
            takes_s *= self._model.under_load.slowed(self._calls_in_work)
            self.at(now_s + takes_s, self._call_ended, None)
        if call + 1 < self._first[request + 1]:
            self.at(now_s + takes_s + self._before[call + 1], self._ask, (request, container, call + 1, 1))
        else:
            self.at(now_s + takes_s + self._tail[request], self._answer, (request, container))

    def _call_ended(self, _now_s: float, _what: None) -> None:
        self._calls_in_work -= 1

    def _refusal(self, now_s: float, what: tuple[int, int, int, int], told_s: float) -> None:
        request, container, call, attempt = what
        delay_s = told_s + self.uniform() * self._retry.base_s * 2 ** (attempt - 1)
        elapsed_s = now_s - self._began[request]
        if attempt >= self._retry.max_attempts or elapsed_s + delay_s >= self._retry.deadline_s:
            self._ends[request] = int(End.THROTTLED)
            self._answer(now_s, (request, container))
        else:
            self.at(now_s + delay_s, self._ask, (request, container, call, attempt + 1))

    def _answer(self, now_s: float, what: tuple[int, int]) -> None:
        """Let an answer out, and free its slot unless work goes on."""
        request, container = what
        if self._where[request] != container:
            return  # lost meanwhile
        self._ended[request] = now_s
        self.open -= 1
        if self._any_after and self._after[request] > 0:
            self.router.answered(request, container, now_s)
            self.at(now_s + self._after[request], self._free, what)
        else:
            self._leave(request, container, now_s)
            self.router.answered(request, container, now_s)
            self.router.freed(container, now_s)

    def _free(self, now_s: float, what: tuple[int, int]) -> None:
        request, container = what
        if self._where[request] == container:
            self._leave(request, container, now_s)
            self.router.freed(container, now_s)

    def _leave(self, request: int, container: int, now_s: float) -> None:
        self.load[container] -= 1
        self.in_work -= 1
        self._work_s += now_s
        if self._running is not None:
            self._running[container].discard(request)

    def _outcome(self) -> Outcome:
        self._container_s += self.now_s * (len(self.up) + self.starting)
        self._work_s += self.now_s * self.in_work
        due, began, ended = np.array(self._due), np.array(self._began), np.array(self._ended)
        return Outcome(
            latency_s=ended - due,
            wait_s=began - due,
            ends=np.array(self._ends, np.int8),
            attempts=self._attempts,
            refused=self._refused,
            calls=self._calls,
            turned_away=self.turned_away,
            container_s=self._container_s,
            work_s=self._work_s,
            all_work_s=self._work_before_s + self._work_s,
            span_s=float(ended.max() - due[0]) if len(due) else 0.0,
            most_containers=self._most,
        )
