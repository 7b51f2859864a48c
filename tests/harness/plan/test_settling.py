"""How sure a simulation is of a queue that hardly settles: against what many such simulations show."""

import math

import numpy as np
import pytest

from harness.plan.asked import Promise
from harness.plan.estimate import REQUESTS, Draws, estimate
from harness.plan.records import Fleet, Routing, Work
from harness.plan.settling import LEAST_TIMES, Queue, queue_of
from harness.plan.simulate import simulate
from harness.plan.theory import erlang_c, mmn_wait_quantile
from harness.records.workload import Arrivals
from tests.harness.plan.workloads import plain

SLOTS, LOAD = 5, 4.4
FULL = Queue(slots=SLOTS, load=LOAD, service_s=1.0, spread=1.0)


def mmn_p99s(lasts_s: float, count: int) -> np.ndarray:
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        requests = int(lasts_s * LOAD)
        due_s = np.cumsum(rng.exponential(1 / LOAD, requests))
        outcome = simulate(Work.plain(due_s, rng.exponential(1.0, requests)), Fleet(containers=SLOTS))
        found.append(float(np.quantile(outcome.wait_s[requests // 10 :], 0.99)))
    return np.array(found)


def test_the_relaxation_time_of_one_server_is_the_textbooks() -> None:
    """M/M/1: 1 / (sqrt(mu) - sqrt(lambda))^2, in services; and one more, for those that find it empty."""
    one = Queue(slots=1, load=0.81, service_s=2.0, spread=1.0)
    assert one.relaxation_s == pytest.approx(2.0 * (1 + 1 / (1 - 0.9) ** 2))
    assert math.isinf(Queue(slots=1, load=1.0, service_s=1.0, spread=1.0).relaxation_s)


def test_the_wait_and_its_error_are_those_of_many_simulations() -> None:
    assert FULL.wait_s == pytest.approx(mmn_wait_quantile(SLOTS, LOAD, 1.0, 0.99))
    lasts_s = 100 * FULL.relaxation_s
    p99s = mmn_p99s(lasts_s, 50)
    seen = float(p99s.std() / p99s.mean())
    assert seen / FULL.error(0.9 * lasts_s) == pytest.approx(1, abs=0.35)  # an sd of 50 is known to 10 %


def test_where_hardly_anything_waits_there_is_no_error() -> None:
    idle = Queue(slots=50, load=20, service_s=1.0, spread=1.0)
    assert erlang_c(50, 20) < 0.01
    assert (idle.wait_s, idle.error(10)) == (0.0, 0.0)


def test_a_queue_in_each_container_settles_as_that_one_does() -> None:
    def of(routing: Routing) -> Queue:
        found = queue_of(Fleet(containers=10, limit=2, routing=routing), 16, 1.0, 1.0)
        assert found is not None
        return found

    apart, together = of(Routing.BLIND), of(Routing.LEAST_REQUEST)
    assert (apart.slots, apart.load, apart.count) == (2, 1.6, 10)
    assert (together.slots, together.load, together.count) == (20, 16, 1)
    for routing in (Routing.SESSION, Routing.READINESS):
        assert queue_of(Fleet(containers=10, routing=routing), 16, 1.0, 1.0) is None


def test_an_interval_covers_the_p99_of_a_queue_with_few_slots_free() -> None:
    """By the spread of ten short replications alone, about three of four did."""
    told = plain(rate_rps=11, median_s=0.4, p99_s=None)  # constant: its p99 is known from a long simulation
    fleet = Fleet(containers=5)
    long_s = simulate(Draws(told, 600_000).work(11, 999), fleet).latency_s
    true_s = float(np.quantile(long_s, 0.99))
    covered = [
        found.p99.low <= true_s <= found.p99.high
        for first in range(1, 240, 10)
        if (found := estimate(Draws(told, 600), fleet, 11, range(first, first + 10)))
    ]
    assert np.mean(covered) >= 0.9


def test_a_fleet_is_looked_at_for_as_long_as_its_queue_takes_to_settle() -> None:
    draws = Draws(plain(rate_rps=100))
    tight, wide = Fleet(containers=60), Fleet(containers=120)
    queue = draws.queue(tight, 100)
    assert queue is not None
    assert draws.times(tight, 100) * draws.duration_s(100) >= 50 * queue.relaxation_s
    assert draws.times(wide, 100) == 1
    assert draws.times(Fleet(containers=40), 100) == 1  # its queue never settles
    assert REQUESTS == 12_000


def test_what_could_not_settle_is_no_fleet_that_holds() -> None:
    """More than a million requests would be asked for: nobody knows what it tends to."""
    told = plain(rate_rps=1, p99_s=None).model_copy(update={"arrivals": Arrivals(rate_rps=5000)})
    draws = Draws(told)
    tight = Fleet(containers=2001, limit=1, routing=Routing.LEAST_REQUEST)
    queue = draws.queue(tight, 5000)
    assert queue is not None
    assert draws.times(tight, 5000) * draws.duration_s(5000) < LEAST_TIMES * queue.relaxation_s
    found = estimate(draws, tight, 5000, (1,))
    assert found.too_short
    assert not Promise(p99_s=1000).held(found)
