"""From the spans of a fleet that was simulated to its workload, and back to the fleet."""

from dataclasses import replace

import numpy as np
import pytest

from harness.errors import InputError
from harness.observe.gathering import Gathering, Known, ObservedHistory
from harness.plan import fit_page, theory
from harness.plan.asked import Asked, Promise
from harness.plan.calibrate import Calibrated, calibrate, seen_quota
from harness.plan.fits import fit, same_share
from harness.plan.records import Fleet, Work
from harness.plan.samples import parts_of
from harness.plan.sampling import work_of
from harness.plan.search import answer
from harness.plan.simulate import simulate
from harness.records.seen import Span
from harness.records.workload import Arrivals, Workload
from harness.simulator_config import RetryAfterMode
from tests.harness.plan.workloads import plain, sessions, spans, workload


def history(told: Workload, containers: int, seconds: float, seed: int = 3) -> ObservedHistory:
    work = work_of(told, duration_s=seconds, seed=seed)
    gathering = Gathering()
    gathering.take(spans(work, simulate(work, Fleet(containers=containers)), containers))
    (found,) = gathering.histories(Known()).values()
    return found


def found(told: Workload, containers: int, seconds: float) -> Calibrated:
    return calibrate(history(told, containers, seconds), name="my-agent", source="spans.jsonl")


def test_a_round_trip_comes_back_to_its_fleet() -> None:
    told = workload(arrivals=Arrivals(rate_rps=6))
    calibrated = found(told, 12, 300)
    assert calibrated.doubts == ()
    question = Asked(workload=told, promise=Promise(p99_s=4.0), rate_rps=6, fleet=Fleet(containers=1))
    before = answer(question, requests=1500)
    after = answer(replace(question, workload=calibrated.workload), requests=1500)
    assert before.best is not None
    assert after.best is not None
    assert after.best.containers == pytest.approx(before.best.containers, abs=1)


def test_what_was_asked_and_what_it_took_is_found_again() -> None:
    told = workload(arrivals=Arrivals(rate_rps=6), sessions=sessions(3, 5.0))
    calibrated = found(told, 20, 300).workload
    # of 600 sessions with a geometric number of turns, the requests are 1,800 give or take 95
    assert calibrated.arrivals.rate_rps == pytest.approx(6, rel=0.16)
    assert calibrated.sessions.turns == pytest.approx(3, rel=0.1)
    assert calibrated.sessions.think.at(0.5) == pytest.approx(5.0, rel=0.02)
    assert calibrated.service.mean_s == pytest.approx(told.service.mean_s, rel=0.06)
    assert calibrated.service.mean_calls == pytest.approx(1.5, rel=0.04)
    assert calibrated.service.own.at(0.5) == pytest.approx(0.01, abs=0.001)
    assert calibrated.service.tool.at(0.5) == pytest.approx(0.02, abs=0.001)
    assert calibrated.service.tail.at(0.5) == pytest.approx(0.005, abs=0.001)
    assert calibrated.service.first_token.at(0.5) > 0
    assert calibrated.service.tokens_out == 100
    assert calibrated.service.tokens == 400
    assert 0.2 < calibrated.service.same_request < 0.6


@pytest.mark.parametrize("think_s", [0.5, 20.0])
def test_turns_that_follow_each_other_are_no_bursts_of_sessions(think_s: float) -> None:
    """Five turns within two seconds are bursty by themselves: what is drawn from them would be so twice."""
    told = workload(arrivals=Arrivals(rate_rps=8), sessions=sessions(5, think_s))
    assert found(told, 60, 400).workload.arrivals.dispersion == 1
    bursty = workload(arrivals=Arrivals(rate_rps=8, dispersion=8, window_s=20), sessions=sessions(5, think_s))
    assert 1.5 < found(bursty, 90, 600).workload.arrivals.dispersion < 16


def test_a_heavy_tail_keeps_its_mean() -> None:
    """The last of 200 steps reaches to the very slowest: an even spread over it is a third too much."""
    rng = np.random.default_rng(1)
    for data in (rng.pareto(1.5, 5000) + 1, np.where(np.arange(5000) < 10, 60.0, 1.0)):
        drawn = fit("rest", np.minimum(data, 80_000).tolist()).duration
        assert drawn.mean_s == pytest.approx(float(data.mean()), rel=0.04)
        assert drawn.at(0.99) == pytest.approx(float(np.quantile(data, 0.99)), rel=0.05)


def test_bursts_are_seen_and_a_poisson_process_is_not_taken_for_one() -> None:
    bursty = workload(arrivals=Arrivals(rate_rps=6, dispersion=6, window_s=8))
    assert found(bursty, 40, 400).workload.arrivals.dispersion > 2.5
    assert found(workload(arrivals=Arrivals(rate_rps=6)), 40, 250).workload.arrivals.dispersion == 1


def test_an_overloaded_fleet_is_told_as_such() -> None:
    calibrated = found(workload(arrivals=Arrivals(rate_rps=6)), 3, 200)
    assert any("overloaded" in doubt for doubt in calibrated.doubts)
    assert calibrated.workload.doubts == calibrated.doubts


def test_few_requests_are_told_and_very_few_refused() -> None:
    assert any("are few" in doubt for doubt in found(workload(arrivals=Arrivals(rate_rps=1)), 5, 100).doubts)
    with pytest.raises(InputError, match="it takes 30"):
        found(workload(arrivals=Arrivals(rate_rps=1)), 5, 10)


def test_what_a_store_leaves_out_is_told() -> None:
    told = history(workload(), 20, 60)
    whole = calibrate(told, name="a", source="s")
    half = calibrate(told, name="a", source="s", lossy=("only 50 % were kept",), sampled=0.5)
    assert half.workload.arrivals.rate_rps == pytest.approx(2 * whole.workload.arrivals.rate_rps)
    assert "only 50 % were kept" in half.doubts


def test_the_page_shows_each_fit_with_its_distance() -> None:
    html = fit_page.to_html(found(workload(), 20, 60), "agentrig calibrate spans.jsonl")
    assert html.count("<figure>") >= 4
    assert "distance" in html
    assert "<script" not in html


# --- families --------------------------------------------------------------------------
def test_a_lognormal_is_found_with_its_parameters() -> None:
    seen = np.random.default_rng(1).lognormal(np.log(0.3), 0.6, 5000)
    told = fit("rest", seen.tolist())
    assert told.family == "lognormal"
    assert told.duration.median_s == pytest.approx(0.3, rel=0.03)
    assert told.duration.sigma == pytest.approx(0.6, rel=0.04)
    assert told.distance < 0.02


def test_where_no_family_fits_it_is_as_it_was_seen() -> None:
    rng = np.random.default_rng(1)
    two = np.concatenate((rng.normal(0.2, 0.01, 2000), rng.normal(1.5, 0.05, 1000)))
    told = fit("rest", two.tolist())
    assert told.family == "empirical"
    assert told.tried is not None
    assert told.tried > 5 * told.distance
    assert told.duration.mean_s == pytest.approx(float(two.mean()), rel=0.01)
    assert told.duration.at(0.99) == pytest.approx(float(np.quantile(two, 0.99)), rel=0.02)


def test_a_constant_is_a_constant_and_nothing_is_nothing() -> None:
    assert fit("own", [0.01] * 50).family == "constant"
    assert fit("after_answer", []).family == "none"
    assert fit("after_answer", [0.0] * 10).duration.mean_s == 0


def test_the_share_that_is_common_to_a_group_is_found() -> None:
    rng = np.random.default_rng(1)
    groups = [(rng.normal() * 0.7**0.5 + rng.normal(size=3) * 0.3**0.5).tolist() for _ in range(3000)]
    assert same_share(groups) == pytest.approx(0.7, abs=0.03)
    assert same_share([rng.normal(size=2).tolist() for _ in range(3000)]) == pytest.approx(0, abs=0.04)
    assert same_share(groups[:5]) is None


def test_a_quota_is_found_from_what_it_let_through() -> None:
    """A bucket of 20 that refills with 5 a second, asked 12 times a second."""
    level, last, admitted, refused = 20.0, 0.0, [], []
    for asked_s in np.cumsum(np.random.default_rng(2).exponential(1 / 12, 3000)).tolist():
        level, last = min(20.0, level + 5 * (asked_s - last)), asked_s
        if level >= 1:
            level -= 1
            admitted.append(asked_s)
        else:
            refused.append(asked_s)
    told = seen_quota(admitted, refused, RetryAfterMode.ABSENT)
    assert told.rpm == pytest.approx(300, rel=0.02)
    assert told.burst == pytest.approx(20, abs=3)


def test_the_work_of_a_plain_request_is_one_call() -> None:
    work = Work.plain(np.array([0.0, 1.0]), np.array([0.5, 0.25]))
    assert work.service_s.tolist() == [0.5, 0.25]
    assert theory.erlang_b(1, 1.0) == 0.5
    assert plain().service.mean_s > 0.4


def test_calls_at_the_same_time_take_no_longer_than_the_request() -> None:
    """Each second call begins with the first: the parts are what the request took all the same."""
    told = workload(arrivals=Arrivals(rate_rps=6))
    work = work_of(told, duration_s=60, seed=3)
    sent, first_ns = list[Span](), dict[str, int]()
    for each in spans(work, simulate(work, Fleet(containers=12)), 12):
        if each.name.startswith("chat"):
            begun_ns = first_ns.setdefault(each.trace_id, each.start_ns)
            sent.append(replace(each, start_ns=begun_ns))  # what was one after the other overlaps
        else:
            sent.append(each)
    gathering = Gathering()
    gathering.take(sent)
    (seen,) = gathering.histories(Known()).values()
    parts = {each.due_s: each for each in parts_of(seen.requests)}
    twice = [each for each in parts.values() if len(each.calls) == 2]
    assert len(twice) > 100
    for request in seen.requests:
        one = parts[request.row.due_s]
        assert request.server is not None
        took_s = sum(call.took_s for call in one.calls) + sum(one.tools_s)
        whole_s = one.own_s + one.session_s + took_s + one.tail_s
        assert whole_s == pytest.approx(request.server.duration_s, abs=1e-6)
        assert all((call.first_token_s or 0.0) <= call.took_s + 1e-9 for call in one.calls)
    calibrated = calibrate(seen, name="my-agent", source="spans.jsonl").workload
    assert calibrated.service.mean_s == pytest.approx(float(work.service_s.mean()), rel=0.02)
    assert any("at the same time" in each for each in calibrated.unknown)
    assert not any("at the same time" in each for each in found(told, 12, 60).workload.unknown)
