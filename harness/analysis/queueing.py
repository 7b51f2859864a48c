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
from collections.abc import Sequence


def central_fifo(arrivals_s: Sequence[float], service_s: Sequence[float], servers: int) -> list[float]:
    """Return each request's latency in a central queue, in seconds.

    Args:
        arrivals_s: instants, in order.
        service_s: of the same requests.
        servers: how many work at once; a container with a limit of L is L of them.

    Raises:
        ValueError: the two differ in length, arrivals are out of order, or nobody serves.
    """
    if servers < 1:
        raise ValueError("a queue needs at least one server")
    free_s = [float("-inf")] * servers  # a heap: when each becomes free
    latencies: list[float] = []
    before_s = float("-inf")
    for arrival_s, work_s in zip(arrivals_s, service_s, strict=True):
        if arrival_s < before_s:
            raise ValueError("arrivals must be in order")
        before_s = arrival_s
        end_s = max(arrival_s, free_s[0]) + work_s
        heapq.heapreplace(free_s, end_s)
        latencies.append(end_s - arrival_s)
    return latencies
