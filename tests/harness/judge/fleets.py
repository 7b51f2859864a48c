"""Fleets, drawn: requests in one queue for a few containers of one slot."""

import heapq
import random

from tests.harness.histories import Arm

MEAN_S = 0.25


def fleet(seed: int, *, needless: bool, requests: int = 300) -> Arm:
    """Draw a fleet of 2 to 8 containers, 30 to 85 % busy.

    A hand-over takes up to 10 ms, and up to 25 one time in thirty, as between two balancers.

    Args:
        seed: of the draw.
        needless: whether every second request waits for 300 ms, whoever is idle.
        requests: how many there are.
    """
    chance = random.Random(seed)
    containers, utilisation = chance.randint(2, 8), chance.uniform(0.3, 0.85)
    free = [(0.0, container) for container in range(1, containers + 1)]
    arm, now_s = Arm(containers=containers), 0.0
    for number in range(requests):
        now_s += chance.expovariate(utilisation * containers / MEAN_S)
        free_s, container = heapq.heappop(free)
        begin_s = max(now_s, free_s) + chance.uniform(0.001, 0.025 if chance.random() < 1 / 30 else 0.010)
        if needless and number % 2:
            begin_s += 0.3
        end_s = begin_s + chance.lognormvariate(-1.9, 1.0)
        arm.request(due_s=now_s, begin_s=begin_s, end_s=end_s, container=container)
        heapq.heappush(free, (end_s, container))
    return arm
