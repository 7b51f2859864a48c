"""What a short simulation does not show by itself, and a plan has to say all the same."""

import math

import numpy as np
import pytest

from harness.plan.asked import Asked, Promise
from harness.plan.estimate import Draws, _p99, _Slowest, estimate, settles_in_s
from harness.plan.records import Fleet, Routing
from harness.plan.search import answer
from harness.plan.simulate import simulate
from harness.plan.theory import erlang_b
from harness.records.workload import Arrivals, Duration, Service, Workload
from harness.simulator_config import Quota
from tests.harness.plan.workloads import plain, workload


def constant(rate_rps: float, **changed: object) -> Workload:
    service = Service(rest=Duration(median_s=1.0), tokens=1000)
    return workload(arrivals=Arrivals(rate_rps=rate_rps), service=service, **changed)


@pytest.mark.parametrize(
    "quota",
    [
        Quota(rpm=1e6, tpm=0.75 * 40 * 1000 * 60),  # its bucket holds a minute's tokens
        Quota(rpm=0.75 * 40 * 60, burst=5000),
    ],
)
def test_a_burst_larger_than_a_simulation_does_not_hide_that_a_quota_is_too_small(quota: Quota) -> None:
    found = estimate(Draws(constant(40, quota=quota), 1500), Fleet(containers=400), 40, (1, 2))
    assert found.figures.error_ratio > 0.2  # with 75 % of what it takes, a quarter of the calls fails


def test_each_sessions_container_is_there_for_as_long_as_it_idles() -> None:
    """M/G/N/N: a session of one request holds a container for its start, its work and its idle time."""
    told, fleet = constant(2), Fleet(containers=200, routing=Routing.SESSION, idle_s=100, cold_start_s=2)
    draws = Draws(told, 500, settles_in_s(told, fleet))
    found = estimate(draws, fleet, 2, range(1, 9))
    assert found.figures.error_ratio == pytest.approx(erlang_b(200, 2 * 103), abs=0.03)
    enough = Fleet(containers=300, routing=Routing.SESSION, idle_s=100, cold_start_s=2)
    assert estimate(draws, enough, 2, range(1, 9)).figures.container_s == pytest.approx(103, rel=0.05)


def test_a_queue_that_grows_for_ever_is_no_fleet_that_holds() -> None:
    asked = Asked(
        workload=constant(10.2),
        promise=Promise(p99_s=100),
        rate_rps=10.2,
        fleet=Fleet(containers=1),
        containers=10,
    )
    found = answer(asked, requests=1500)
    assert found.candidates[0].point.p99.high < 100
    assert found.best is None
    assert not found.undecided


def test_the_slowest_of_bursts_are_those_of_the_worst_of_them() -> None:
    """A minute's bursts in a simulation of 15 seconds: each would have seen one rate alone."""
    bursty = plain(rate_rps=100, median_s=0.1, p99_s=0.3)
    bursty = bursty.model_copy(
        update={"arrivals": Arrivals(rate_rps=100, dispersion=300, window_s=60)},
    )
    fleet = Fleet(containers=15)
    short = estimate(Draws(bursty, 1500), fleet, 100, range(1, 5))
    draws = Draws(bursty, 1_000_000)
    long_s = np.concatenate([simulate(draws.work(100, seed), fleet).latency_s for seed in (21, 22, 23)])
    assert short.p99.low < float(np.quantile(long_s, 0.99)) < short.p99.high
    assert short.p99.high < 40 * short.p99.low


def test_the_p99_is_that_of_all_replications_together() -> None:
    """One in ten is as slow as all of the slowest hundredth: the mean of their p99s is a tenth of that."""
    quick, slow = np.full(1000, 1.0), np.concatenate([np.full(800, 1.0), np.full(200, 50.0)])
    found = _p99([_Slowest(one, 1000) for one in [quick] * 9 + [slow]])
    assert found.mean == 50
    assert found.low < 1.0
    assert found.high > 50
    assert math.isinf(_p99([_Slowest(np.zeros(0), 0)] * 3).mean)


def test_a_period_without_end_is_told_by_what_makes_it_long() -> None:
    told = plain().model_copy(update={"arrivals": Arrivals(rate_rps=1e-6, dispersion=2)})
    with pytest.raises(Exception, match="longer `window_s`"):
        Draws(told).duration_s(1e-6)
