"""Request by request the same as SimPy, on the same arrivals and service times."""

import numpy as np
import pytest

from harness.plan.records import End, Fleet, Routing, Work
from harness.plan.simulate import simulate
from tests.harness.plan import peer


def asked(rate_rps: float, count: int = 3000) -> Work:
    rng = np.random.default_rng(11)
    return Work.plain(np.cumsum(rng.exponential(1 / rate_rps, count)), rng.lognormal(-0.5, 1.0, count))


@pytest.mark.parametrize(("containers", "limit"), [(1, 1), (8, 1), (3, 4)])
def test_the_gate_is_the_central_queue_of_simpy(containers: int, limit: int) -> None:
    work = asked(0.9 * containers * limit)
    ours = simulate(work, Fleet(containers=containers, limit=limit)).latency_s
    assert np.allclose(ours, peer.central_queue(work, containers * limit))


def test_round_robin_is_that_of_simpy() -> None:
    work = asked(0.85 * 12)
    ours = simulate(work, Fleet(containers=4, limit=3, routing=Routing.BLIND)).latency_s
    assert np.allclose(ours, peer.round_robin(work, 4, 3))


@pytest.mark.parametrize(
    ("containers", "limit", "load"), [(1, 1, 0.5), (4, 1, 0.5), (4, 1, 0.8), (5, 3, 0.9)]
)
@pytest.mark.parametrize("every_s", [0.1, 1.0])
def test_a_plain_service_is_that_of_simpy(containers: int, limit: int, load: float, every_s: float) -> None:
    work = asked(load * containers * limit)
    fleet = Fleet(containers=containers, limit=limit, routing=Routing.READINESS, probe_s=every_s)
    ours = simulate(work, fleet, seed=5)
    theirs = peer.probed(work, containers, limit, every_s, 5)
    assert np.array_equal(ours.ends == End.BLOCKED, np.isnan(theirs))
    assert np.allclose(ours.latency_s[ours.answered], theirs[ours.answered])
    assert 0.02 < np.isnan(theirs).mean() < 0.9
