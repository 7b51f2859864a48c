import numpy as np
import pytest

from harness.plan.sampling import arrivals_of, work_of
from harness.records.workload import Arrivals, Duration, RateStep, Service, Sessions
from tests.harness.plan.workloads import plain, sessions, workload


def drawn(arrivals: Arrivals, seconds: float, told: Sessions | None = None, seed: int = 1) -> np.ndarray:
    return arrivals_of(arrivals, told or Sessions(), seconds, np.random.default_rng(seed)).due_s


def dispersion(due_s: np.ndarray, window_s: float, seconds: float) -> float:
    counts = np.histogram(due_s, np.arange(0, seconds + 1e-9, window_s))[0]
    return float(counts.var() / counts.mean())


def test_a_poisson_process_has_its_rate_and_a_dispersion_of_one() -> None:
    due_s = drawn(Arrivals(rate_rps=20), 5000)
    assert len(due_s) == pytest.approx(100_000, rel=0.02)
    assert (np.diff(due_s) >= 0).all()
    assert dispersion(due_s, 10, 5000) == pytest.approx(1, abs=0.25)


def test_bursts_have_the_dispersion_that_was_asked_for() -> None:
    due_s = drawn(Arrivals(rate_rps=20, dispersion=8, window_s=10), 20_000)
    assert len(due_s) == pytest.approx(400_000, rel=0.05)
    assert dispersion(due_s, 10, 20_000) == pytest.approx(8, rel=0.15)


def test_another_rate_keeps_the_share_of_the_variance_that_is_no_chance() -> None:
    told = Arrivals(rate_rps=20, dispersion=8, window_s=10).at(40)
    assert told.dispersion == 15
    assert dispersion(drawn(told, 20_000), 10, 20_000) == pytest.approx(15, rel=0.15)


def test_the_rate_of_the_day_is_kept_and_comes_again() -> None:
    steps = (RateStep(from_s=0, rate_rps=2), RateStep(from_s=60, rate_rps=18))
    due_s = drawn(Arrivals(rate_rps=10, steps=steps, period_s=120), 12_000)
    within = due_s % 120
    assert (within < 60).sum() == pytest.approx(12_000, rel=0.05)
    assert (within >= 60).sum() == pytest.approx(108_000, rel=0.02)


def test_sessions_have_their_turns_and_their_rate() -> None:
    found = arrivals_of(Arrivals(rate_rps=20), sessions(4, 5.0), 5000, np.random.default_rng(1))
    assert len(found.due_s) == pytest.approx(100_000, rel=0.04)
    assert (found.due_s < 50).sum() == pytest.approx(1000, rel=0.15)  # they were under way before
    _, counts = np.unique(found.session, return_counts=True)
    assert counts.mean() == pytest.approx(4, rel=0.05)
    one = found.due_s[found.session == found.session[5000]]
    assert np.allclose(np.diff(one), 5.0)


@pytest.mark.parametrize(
    ("turns", "think"),
    [
        (10, Duration(median_s=600)),
        (1000, Duration(median_s=86_400)),
        (10, Duration(median_s=60, p99_s=900)),
        (5, Duration(median_s=1, quantiles_s=(0.0, 1.0, 4000.0))),
        (50, Duration()),
    ],
)
def test_the_rate_is_there_at_once_however_long_a_session_lasts(turns: float, think: Duration) -> None:
    """A session of hours is under way when a simulation of a minute begins."""
    told = Sessions(turns=turns, think=think)
    came = [drawn(Arrivals(rate_rps=500), 60, told, seed) for seed in range(8)]
    assert sum(map(len, came)) == pytest.approx(8 * 30_000, rel=0.06)
    assert sum((due_s < 6).sum() for due_s in came) == pytest.approx(8 * 3000, rel=0.12)


def test_requests_take_what_their_parts_take() -> None:
    told = workload()
    work = work_of(told, duration_s=3000, seed=1)
    assert float(work.service_s.mean()) == pytest.approx(told.service.mean_s, rel=0.03)
    assert len(work.call_s) / len(work) == pytest.approx(1.5, rel=0.02)
    first = work.first_call[:-1]
    assert np.allclose(work.before_s[first], 0.01)
    assert np.allclose(np.delete(work.before_s, first), 0.02)
    assert np.allclose(work.tail_s, 0.005)
    assert set(work.tokens.tolist()) == {400}


def test_a_long_answer_is_long_in_all_calls() -> None:
    service = Service(rest=Duration(median_s=0.3, p99_s=1.5), calls=(0.0, 1.0), same_request=0.6)
    work = work_of(workload(service=service), duration_s=2000, seed=1)
    logs = np.log(work.call_s).reshape(-1, 2)
    assert np.corrcoef(logs.T)[0, 1] == pytest.approx(0.6, abs=0.03)


def test_a_long_answer_is_long_in_all_turns() -> None:
    service = Service(rest=Duration(median_s=0.3, p99_s=1.5), same_session=0.5)
    work = work_of(workload(service=service, sessions=sessions(2, 5.0)), duration_s=4000, seed=1)
    logs, order = np.log(work.call_s), np.argsort(work.session, kind="stable")
    same = work.session[order][1:] == work.session[order][:-1]
    pairs = logs[order][:-1][same], logs[order][1:][same]
    assert np.corrcoef(*pairs)[0, 1] == pytest.approx(0.5, abs=0.04)


def test_what_was_seen_is_drawn_as_it_was_seen() -> None:
    told = Duration(median_s=1, quantiles_s=(0.5, 1.0, 4.0))
    work = work_of(workload(service=Service(rest=told)), duration_s=3000, seed=1)
    assert (
        float(work.service_s.mean()) == pytest.approx(told.mean_s, rel=0.03) == pytest.approx(1.625, rel=0.03)
    )
    assert work.service_s.min() >= 0.5
    assert work.service_s.max() <= 4.0
    assert float(np.median(work.service_s)) == pytest.approx(1.0, rel=0.05)


def test_a_seed_gives_the_same_requests_and_another_others() -> None:
    one, same, other = (work_of(plain(), duration_s=50, seed=seed) for seed in (1, 1, 2))
    assert one.due_s.tolist() == same.due_s.tolist() != other.due_s.tolist()
    assert one.call_s.tolist() == same.call_s.tolist()
