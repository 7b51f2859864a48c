"""The engine against queueing theory: each tolerance is some four standard errors of the simulation's own."""

import math

import numpy as np
import pytest

from harness.plan import theory
from harness.plan.records import End, Fleet, ModelApi, Outcome, RetryRule, Routing, Work
from harness.plan.simulate import by_events
from harness.simulator_config import Quota, RetryAfterMode


def simulate(
    work: Work,
    fleet: Fleet,
    model: ModelApi | None = None,
    retry: RetryRule | None = None,
    seed: int = 1,
) -> Outcome:
    """Simulate by events, also what would take none."""
    return by_events(work, fleet, model or ModelApi(), retry or RetryRule(), seed)


COUNT = 60_000
WARM = 5_000


def poisson(rate_rps: float, count: int = COUNT, seed: int = 1) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate_rps, count))


def exponential(count: int = COUNT, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).exponential(1.0, count)


def mean_wait(outcome: Outcome) -> float:
    return float(outcome.wait_s[WARM:].mean())


@pytest.mark.parametrize(("servers", "load", "tolerance"), [(2, 0.6, 0.06), (10, 0.8, 0.10), (50, 0.9, 0.2)])
def test_mmn_waits_as_erlang_c_says(servers: int, load: float, tolerance: float) -> None:
    rate_rps = servers * load
    outcome = simulate(Work.plain(poisson(rate_rps), exponential()), Fleet(containers=servers))
    assert mean_wait(outcome) == pytest.approx(theory.mmn_wait_mean(servers, rate_rps, 1.0), rel=tolerance)
    late = float((outcome.wait_s[WARM:] > 1e-12).mean())
    assert late == pytest.approx(theory.erlang_c(servers, rate_rps), rel=tolerance)
    p99_s = float(np.quantile(outcome.wait_s[WARM:], 0.99))
    expected_s = theory.mmn_wait_quantile(servers, rate_rps, 1.0, 0.99)
    assert p99_s == pytest.approx(expected_s, rel=1.5 * tolerance)


def test_a_limit_of_many_is_as_many_servers() -> None:
    work = Work.plain(poisson(8), exponential())
    one = simulate(work, Fleet(containers=10, limit=1), seed=3)
    two = simulate(work, Fleet(containers=2, limit=5), seed=3)
    assert np.allclose(one.latency_s, two.latency_s)


def test_md1_waits_half_as_long_as_mm1() -> None:
    outcome = simulate(Work.plain(poisson(0.7), np.ones(COUNT)), Fleet(containers=1))
    assert mean_wait(outcome) == pytest.approx(theory.mg1_wait_mean(0.7, 1.0, 0.0), rel=0.05)


def test_mg1_waits_as_pollaczek_and_khinchine_say() -> None:
    sigma = 0.8
    service_s = np.random.default_rng(5).lognormal(0, sigma, COUNT) / math.exp(sigma**2 / 2)
    outcome = simulate(Work.plain(poisson(0.6), service_s), Fleet(containers=1))
    expected_s = theory.mg1_wait_mean(0.6, 1.0, math.exp(sigma**2) - 1)
    assert mean_wait(outcome) == pytest.approx(expected_s, rel=0.10)


@pytest.mark.parametrize("family", ["exponential", "constant"])
def test_blocked_are_as_many_as_erlang_b_says_whatever_the_service(family: str) -> None:
    service_s = exponential() if family == "exponential" else np.ones(COUNT)
    outcome = simulate(Work.plain(poisson(9), service_s), Fleet(containers=10, queue_limit=0))
    blocked = float((outcome.ends[WARM:] == End.BLOCKED).mean())
    assert blocked == pytest.approx(theory.erlang_b(10, 9.0), rel=0.06)


@pytest.mark.parametrize("family", ["exponential", "constant"])
def test_a_probe_that_is_always_new_leaves_refusals_to_who_finds_all_full(family: str) -> None:
    """Then it is Erlang's loss system, whatever the service; with one that is never new, one a container."""
    service_s = exponential() if family == "exponential" else np.ones(COUNT)
    for probe_s, refused in ((1e-3, theory.erlang_b(4, 2.0)), (1e9, theory.erlang_b(1, 2.0 / 4))):
        fleet = Fleet(containers=4, routing=Routing.READINESS, probe_s=probe_s)
        outcome = simulate(Work.plain(poisson(2), service_s), fleet)
        assert float((outcome.ends[WARM:] == End.BLOCKED).mean()) == pytest.approx(refused, rel=0.04)


@pytest.mark.parametrize("probe_s", [0.3, 1.0, 4.0])
def test_of_one_container_the_chain_from_probe_to_probe_is_known(probe_s: float) -> None:
    """Left out for a whole interval where it was full at its begin, else taken whenever it is free."""
    rate = 0.8  # a service takes 1 on average
    full = rate / (rate + 1)
    then_full = full * (1 - math.exp(-(rate + 1) * probe_s))  # at the next probe, of one that was free
    still_full = math.exp(-probe_s)
    was_free = (1 - still_full) / (1 - still_full + then_full)
    free_s = (1 - full) * probe_s + full * (1 - math.exp(-(rate + 1) * probe_s)) / (rate + 1)
    fleet = Fleet(containers=1, routing=Routing.READINESS, probe_s=probe_s)
    outcome = simulate(Work.plain(poisson(rate), exponential()), fleet)
    answered = float(outcome.answered[WARM:].mean())
    assert answered == pytest.approx(was_free * free_s / probe_s, rel=0.03)


def test_round_robin_is_a_queue_of_its_own_in_each_container() -> None:
    """Each then sees Erlang arrivals: with 2 containers E2/M/1, whose wait is rho_s / (1 - rho_s)."""
    outcome = simulate(
        Work.plain(poisson(1.4), exponential()), Fleet(containers=2, routing=Routing.BLIND), seed=1
    )
    # sigma solves s = (2 lambda / (2 lambda + mu (1 - s)))^2 with lambda = 0.7 a container
    sigma = 0.5
    for _ in range(200):
        sigma = (1.4 / (1.4 + (1 - sigma))) ** 2
    assert mean_wait(outcome) == pytest.approx(sigma / (1 - sigma), rel=0.08)


def test_littles_law_holds() -> None:
    outcome = simulate(Work.plain(poisson(8), exponential()), Fleet(containers=10))
    assert outcome.work_s == pytest.approx(float(exponential().sum()))
    assert outcome.work_s / outcome.span_s == pytest.approx(8.0, rel=0.03)


def test_a_quota_lets_through_what_it_refills_with() -> None:
    """The fluid limit: above the quota, B + r * T calls succeed, however many containers there are."""
    work = Work.plain(poisson(20, 20_000), np.full(20_000, 0.1))
    quota = Quota(rpm=600, burst=10, retry_after=RetryAfterMode.EXACT)
    done = []
    for containers in (50, 500):
        outcome = simulate(
            work, Fleet(containers=containers, limit=8), ModelApi(quota=quota), RetryRule(max_attempts=2)
        )
        done.append(int(outcome.answered.sum()))
        most = 10 + 10 * outcome.span_s
        assert 0.97 * most <= done[-1] <= most + 1
        assert outcome.attempts <= 2 * outcome.calls
    assert done[0] == pytest.approx(done[1], rel=0.02)


def test_below_the_quota_nothing_is_refused() -> None:
    work = Work.plain(np.arange(1000) / 5.0, np.full(1000, 0.1))
    quota = Quota(rpm=600, burst=2)
    outcome = simulate(work, Fleet(containers=4), ModelApi(quota=quota))
    assert outcome.refused == 0
    assert outcome.attempts == outcome.calls == 1000


def test_two_blind_gates_cost_and_one_costs_nothing() -> None:
    work = Work.plain(poisson(9, 6000), exponential(6000))
    one = simulate(work, Fleet(containers=10))
    two = simulate(work, Fleet(containers=10, balancers=2))
    assert two.wait_s.mean() > 1.05 * one.wait_s.mean()


def test_square_root_staffing_delays_the_share_that_was_asked_for() -> None:
    servers = theory.square_root_staffing(900.0, 0.1)
    assert theory.erlang_c(servers, 900.0) == pytest.approx(0.1, abs=0.02)


def test_theory_knows_overload() -> None:
    assert theory.erlang_c(2, 2.0) == 1.0
    assert theory.mmn_wait_mean(2, 2, 1) == math.inf
    assert theory.mmn_wait_quantile(2, 2, 1, 0.99) == math.inf
    assert theory.mg1_wait_mean(1.0, 1.0, 1.0) == math.inf
