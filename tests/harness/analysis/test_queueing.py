import heapq
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.queueing import central_fifo

TRACES = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 200)), max_size=80)
"""Gaps and service times in whole ms, so that sums are exact."""


def simulated(arrivals: list[int], service: list[int], servers: int) -> list[int]:
    """The queue as it happens: event by event, whoever is free takes the head."""
    events = [(at, 1, index) for index, at in enumerate(arrivals)]  # ends come before arrivals of an instant
    heapq.heapify(events)
    queue: list[int] = []
    ended: dict[int, int] = {}
    free = servers
    while events:
        now, arrived, index = heapq.heappop(events)
        if arrived:
            queue.append(index)
        else:
            ended[index] = now
            free += 1
        while free and queue:
            head = queue.pop(0)
            free -= 1
            heapq.heappush(events, (now + service[head], 0, head))
    return [ended[index] - at for index, at in enumerate(arrivals)]


@given(TRACES, st.integers(1, 6))
def test_it_is_the_queue_of_an_event_by_event_simulation(trace: list[tuple[int, int]], servers: int) -> None:
    arrivals = list(accumulate(gap for gap, _ in trace))
    service = [work for _, work in trace]
    assert central_fifo(arrivals, service, servers) == simulated(arrivals, service, servers)


@given(TRACES)
def test_with_one_server_it_is_lindley_s_recursion(trace: list[tuple[int, int]]) -> None:
    arrivals = list(accumulate(gap for gap, _ in trace))
    service = [work for _, work in trace]
    waits, wait = [], 0
    for index, work in enumerate(service):
        if index:
            wait = max(0, wait + service[index - 1] - (arrivals[index] - arrivals[index - 1]))
        waits.append(wait + work)
    assert central_fifo(arrivals, service, 1) == waits


@given(TRACES, st.integers(1, 5))
def test_another_server_makes_nobody_wait_longer(trace: list[tuple[int, int]], servers: int) -> None:
    arrivals = list(accumulate(gap for gap, _ in trace))
    service = [work for _, work in trace]
    more = central_fifo(arrivals, service, servers + 1)
    assert all(a <= b for a, b in zip(more, central_fifo(arrivals, service, servers), strict=True))


def test_an_idle_server_serves_at_once() -> None:
    assert central_fifo([0.0, 0.0, 0.0], [2.0, 3.0, 1.0], 2) == [2.0, 3.0, 3.0]


def test_a_queue_without_servers_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one server"):
        central_fifo([], [], 0)


def test_arrivals_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="in order"):
        central_fifo([1.0, 0.5], [1.0, 1.0], 1)


def test_arrivals_and_service_times_must_be_of_the_same_requests() -> None:
    with pytest.raises(ValueError, match="shorter"):
        central_fifo([1.0], [], 1)
