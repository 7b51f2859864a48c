"""The optimum to compare a balancer with: one central queue, first come first served.

No way of sending requests to containers without knowing their service times beforehand does better
in the tail than to keep all in one queue and give the head of it to whoever becomes free first
(M/G/N FIFO). Replayed on the same arrivals and the measured service times, it tells what waiting the
load itself made necessary; what is above it, the balancer made.

The comparison is on the safe side: the optimum has no network hop and no client, and its service
times are those of the real containers, measured inside them.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def central_fifo(arrivals_s: Sequence[float], service_s: Sequence[float], servers: int) -> list[float]:
    """Return each request's latency in a central queue, in seconds.

    Args:
        arrivals_s: instants, in order.
        service_s: of the same requests.
        servers: how many work at once.

    Raises:
        ValueError: the two differ in length, arrivals are out of order, or nobody serves.
    """
    if servers < 1:
        raise ValueError("a queue needs at least one server")
    free_s = [float("-inf")] * servers  # a heap, as all are equal
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
