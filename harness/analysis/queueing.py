"""The optimum to compare a balancer with: one central queue, first come first served.

Of all orders that neither know the service times beforehand nor interrupt work, first come first
served at the head of one queue for all servers (M/G/N FIFO) spreads the waits least. Replayed on the
same arrivals and the service times that were measured, it tells how much waiting the load itself
made necessary; what is above it, the balancer made.

The comparison leans to the strict side. A service time is that of the real container, measured inside
it and without its own queue; the optimum adds only its wait. The latency that it is compared with is
the caller's, which also has the caller's lateness, two hops and the balancer's work in it: a few
milliseconds that count against the balancer. A machine that slows the containers down slows both.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

ALWAYS = (float("-inf"), float("inf"))
"""A server that neither comes nor goes."""


def central_waits(
    arrivals_s: Sequence[float], held_s: Sequence[float], servers: Iterable[tuple[float, float]]
) -> list[float]:
    """Return each request's wait in a central queue, in seconds.

    Args:
        arrivals_s: instants, in order.
        held_s: how long each of the same requests holds a server.
        servers: from when to when each begins work; a container with a limit of L is L of them.

    Raises:
        ValueError: the two differ in length, arrivals are out of order, or nobody serves a request.
    """
    free = list(servers)  # a heap: when each becomes free, and until when it begins work
    heapq.heapify(free)
    waits: list[float] = []
    before_s = float("-inf")
    for arrival_s, work_s in zip(arrivals_s, held_s, strict=True):
        if arrival_s < before_s:
            raise ValueError("arrivals must be in order")
        before_s = arrival_s
        while free and max(arrival_s, free[0][0]) >= free[0][1]:  # it has left
            heapq.heappop(free)
        if not free:
            raise ValueError("a queue needs a server for each request")
        free_s, until_s = free[0]
        begin_s = max(arrival_s, free_s)
        heapq.heapreplace(free, (begin_s + work_s, until_s))
        waits.append(begin_s - arrival_s)
    return waits
