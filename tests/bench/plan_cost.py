"""What a simulation costs, by requests and by containers, beside SimPy on the same requests: `--peer`.

CPU seconds of this process, so that a busy neighbour hardly changes them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from harness.plan.records import Fleet, ModelApi, RetryRule, Routing, Work
from harness.plan.simulate import by_events, simulate
from harness.simulator_config import Quota
from tests.harness.plan import peer

LOAD = 0.95
ROUTINGS = tuple(each for each in Routing if each is not Routing.SESSION)


def work(count: int, slots: int) -> Work:
    """Return lognormal requests with a mean of 1 s, that keep a share `LOAD` of the slots busy."""
    rng = np.random.default_rng(1)
    due_s = np.cumsum(rng.exponential(1 / (LOAD * slots), count))
    return Work.plain(due_s, rng.lognormal(-0.32, 0.8, count))


def events(one: Work, fleet: Fleet) -> object:
    """Simulate event by event, also what would take no events."""
    return by_events(one, fleet, ModelApi(), RetryRule(), 1)


def cpu_s(run: Callable[[], object]) -> float:
    begun_s = time.process_time()
    run()
    return time.process_time() - begun_s


def main() -> None:
    """Print a line per size, routing and peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--containers", type=int, default=1000)
    parser.add_argument("--peer", action="store_true")
    asked = parser.parse_args()
    print("requests  containers  routing        CPU s   us a request")

    def line(count: int, containers: int, name: str, run: Callable[[], object]) -> None:
        took_s = cpu_s(run)
        print(
            f"{count:8d} {containers:11d}  {name:13s} {took_s:6.2f} {took_s / count * 1e6:14.2f}", flush=True
        )

    most, size = asked.requests, asked.containers
    for count, containers in (
        (most // 10, size),
        (most // 3, size),
        (most, size),
        (most, size // 10),
        (most, size * 3),
    ):
        one = work(count, containers)
        line(count, containers, "busy-aware", lambda one=one, n=containers: events(one, Fleet(containers=n)))
    one = work(most, size)
    line(most, size, "no events", lambda: simulate(one, Fleet(containers=size)))
    for routing in ROUTINGS[1:]:
        one = work(most // 10, size)
        fleet = Fleet(containers=size, routing=routing, ping_s=1.0)
        line(most // 10, size, routing.value, lambda one=one, fleet=fleet: simulate(one, fleet))
    one = work(most // 10, size)
    quota = ModelApi(quota=Quota(rpm=60 * 1.1 * LOAD * size, burst=size))
    line(most // 10, size, "with a quota", lambda: simulate(one, Fleet(containers=size), quota))
    if asked.peer:
        line(most // 10, size, "SimPy", lambda: peer.central_queue(one, size))


if __name__ == "__main__":
    main()
