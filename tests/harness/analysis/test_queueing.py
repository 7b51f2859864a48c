import heapq
import math
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.queueing import ALWAYS, central_waits

TRACES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 200)), max_size=80)
"""Gaps and service times in whole ms, so that sums are exact."""


def simulated(arrivals: list[int], service: list[int], servers: int) -> list[int]:
    """The waits in the queue as it happens: event by event, whoever is free takes the head."""
    events = [(at, 1, index) for index, at in enumerate(arrivals)]  # ends come before arrivals of an instant
    heapq.heapify(events)
    queue: list[int] = []
    begun: dict[int, int] = {}
    free = servers
    while events:
        now, arrived, index = heapq.heappop(events)
        if arrived:
            queue.append(index)
        else:
            free += 1
        while free and queue:
            head = queue.pop(0)
            free -= 1
            begun[head] = now
            heapq.heappush(events, (now + service[head], 0, head))
    return [begun[index] - at for index, at in enumerate(arrivals)]


@given(TRACES, st.integers(1, 6))
def test_it_is_the_queue_of_an_event_by_event_simulation(trace: list[tuple[int, int]], servers: int) -> None:
    arrivals = list(accumulate(gap for gap, _ in trace))
    service = [work for _, work in trace]
    assert central_waits(arrivals, service, [ALWAYS] * servers) == simulated(arrivals, service, servers)


@given(TRACES)
def test_with_one_server_it_is_lindley_s_recursion(trace: list[tuple[int, int]]) -> None:
    arrivals = list(accumulate(gap for gap, _ in trace))
    service = [work for _, work in trace]
    waits, wait = [], 0
    for index in range(len(service)):
        if index:
            wait = max(0, wait + service[index - 1] - (arrivals[index] - arrivals[index - 1]))
        waits.append(wait)
    assert central_waits(arrivals, service, [ALWAYS]) == waits


@given(TRACES, st.integers(1, 5))
def test_another_server_makes_nobody_wait_longer(trace: list[tuple[int, int]], servers: int) -> None:
    arrivals = list(accumulate(gap for gap, _ in trace))
    service = [work for _, work in trace]
    more = central_waits(arrivals, service, [ALWAYS] * (servers + 1))
    fewer = central_waits(arrivals, service, [ALWAYS] * servers)
    assert all(a <= b for a, b in zip(more, fewer, strict=True))


def test_an_idle_server_serves_at_once() -> None:
    assert central_waits([0.0, 0.0, 0.0], [2.0, 3.0, 1.0], [ALWAYS] * 2) == [0.0, 0.0, 2.0]


def test_a_server_that_comes_later_takes_the_head_from_then_on() -> None:
    assert central_waits([0.0, 0.0, 1.0], [9.0, 1.0, 1.0], [ALWAYS, (3.0, math.inf)]) == [0.0, 3.0, 3.0]


def test_a_server_that_leaves_ends_what_it_has_begun_and_begins_nothing() -> None:
    waits = central_waits([0.0, 0.0, 1.0, 5.0], [4.0, 4.0, 1.0, 1.0], [ALWAYS, (-math.inf, 2.0)])
    assert waits == [0.0, 0.0, 3.0, 0.0]


@given(TRACES, st.integers(1, 4), st.integers(0, 2000))
def test_one_server_leaving_as_another_comes_is_as_if_it_had_stayed_unless_it_was_at_work(
    trace: list[tuple[int, int]], others: int, at: int
) -> None:
    arrivals = list(accumulate(gap for gap, _ in trace))
    service = [work for _, work in trace]
    stays = [ALWAYS] * others
    relayed = central_waits(arrivals, service, [*stays, (-math.inf, at), (at, math.inf)])
    kept = central_waits(arrivals, service, [*stays, ALWAYS])
    assert all(a <= b for a, b in zip(relayed, kept, strict=True))


@pytest.mark.parametrize("servers", [[], [(-math.inf, 1.0)]])
def test_a_queue_that_nobody_serves_is_refused(servers: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="a server for each request"):
        central_waits([1.0], [1.0], servers)


def test_arrivals_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="in order"):
        central_waits([1.0, 0.5], [1.0, 1.0], [ALWAYS])


def test_arrivals_and_service_times_must_be_of_the_same_requests() -> None:
    with pytest.raises(ValueError, match="shorter"):
        central_waits([1.0], [], [ALWAYS])
