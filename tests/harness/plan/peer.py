"""The same fleets in SimPy, a simulation of other people's: one process a request."""

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

from harness.plan.records import Work


def central_queue(work: Work, slots: int) -> np.ndarray:
    """Return the latencies of requests that wait in one queue for all slots."""
    env = simpy.Environment()
    places = simpy.Resource(env, capacity=slots)
    due_s, service_s = work.due_s.tolist(), work.service_s.tolist()
    latency_s = np.full(len(work), np.nan)

    def request(number: int) -> Generator[Any, Any, None]:
        with places.request() as place:
            yield place
            yield env.timeout(service_s[number])
        latency_s[number] = env.now - due_s[number]

    def arrivals() -> Generator[Any, Any, None]:
        for number, at_s in enumerate(due_s):
            yield env.timeout(max(0.0, at_s - env.now))
            env.process(request(number))

    env.process(arrivals())
    env.run()
    return latency_s


def round_robin(work: Work, containers: int, limit: int) -> np.ndarray:
    """Return the latencies of requests that are dealt out in turn, and wait inside."""
    env = simpy.Environment()
    inside = [simpy.Resource(env, capacity=limit) for _ in range(containers)]
    due_s, service_s = work.due_s.tolist(), work.service_s.tolist()
    latency_s = np.full(len(work), np.nan)

    def request(number: int) -> Generator[Any, Any, None]:
        with inside[(number + 1) % containers].request() as place:
            yield place
            yield env.timeout(service_s[number])
        latency_s[number] = env.now - due_s[number]

    def arrivals() -> Generator[Any, Any, None]:
        for number, at_s in enumerate(due_s):
            yield env.timeout(max(0.0, at_s - env.now))
            env.process(request(number))

    env.process(arrivals())
    env.run()
    return latency_s
