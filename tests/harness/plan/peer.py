"""The same fleets in SimPy, a simulation of other people's: one process a request."""

import random
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


def probed(work: Work, containers: int, limit: int, every_s: float, seed: int) -> np.ndarray:
    """Return the latencies behind a plain Service, whose containers a process each probes for ever.

    NaN where a request was refused. What is drawn is drawn in the order of time: of each container, when it
    is probed first; then of each request, which of those that are ready it comes to.
    """
    env, draw = simpy.Environment(), random.Random(seed).random
    due_s, service_s = work.due_s.tolist(), work.service_s.tolist()
    in_work, ready = [0] * containers, [True] * containers
    latency_s = np.full(len(work), np.nan)

    def probes(container: int, first_s: float) -> Generator[Any, Any, None]:
        yield env.timeout(first_s)
        while True:
            ready[container] = in_work[container] < limit
            yield env.timeout(every_s)

    def request(number: int, container: int) -> Generator[Any, Any, None]:
        in_work[container] += 1
        yield env.timeout(service_s[number])
        in_work[container] -= 1
        latency_s[number] = env.now - due_s[number]

    def arrivals() -> Generator[Any, Any, None]:
        for number, at_s in enumerate(due_s):
            yield env.timeout(max(0.0, at_s - env.now))
            there = [container for container in range(containers) if ready[container]]
            if there and in_work[chosen := there[int(draw() * len(there))]] < limit:
                env.process(request(number, chosen))

    for container in range(containers):
        env.process(probes(container, draw() * every_s))
    env.process(arrivals())
    env.run(until=due_s[-1] + max(service_s) + 1.0)
    return latency_s
