"""The same experiment at fewer requests a second."""

import pytest

from harness.experiment.load import catalogue, load
from harness.experiment.scale import LONGEST, scaled
from harness.load.arrivals import plan
from harness.records.spec import ExperimentSpec
from harness.run.pipeline import known


def spec(name: str) -> ExperimentSpec:
    return load(name, known()).quickened()


@pytest.mark.parametrize("name", catalogue())
def test_at_its_own_rates_nothing_changes(name: str) -> None:
    assert scaled(spec(name), 1.0) == spec(name)


@pytest.mark.parametrize("name", catalogue())
@pytest.mark.parametrize("scale", [0.7, 0.4])
def test_every_experiment_has_enough_requests_at_fewer_a_second(name: str, scale: float) -> None:
    slow = scaled(spec(name), scale, burst=scale)
    for arm in slow.arms:
        planned = plan(slow.load_of(arm), slow.seed, slow.name)
        assert len(planned) >= slow.min_requests


@pytest.mark.parametrize("name", ["busy-routing", "busy-two-balancers", "scale-out"])
def test_the_containers_stay_as_busy(name: str) -> None:
    own, slow = spec(name), scaled(spec(name), 0.5)
    for arm in own.arms:
        utilisation = slow.load_of(arm).rate_rps / slow.capacity_rps(arm)
        assert utilisation == pytest.approx(own.load_of(arm).rate_rps / own.capacity_rps(arm))
        assert slow.load_of(arm).rate_rps == pytest.approx(0.5 * own.load_of(arm).rate_rps, rel=0.06)


def test_an_outage_meets_as_many_requests() -> None:
    own, slow = spec("throttling"), scaled(spec("throttling"), 0.5)

    def met(it: ExperimentSpec) -> int:
        assert it.simulator.faults[0].window_s is not None
        from_s, to_s = it.simulator.faults[0].window_s
        arrivals = plan(it.load_of("reference"), it.seed, it.name)
        return sum(from_s <= arrival.due_s < to_s for arrival in arrivals)

    assert met(slow) == met(own)
    assert slow.simulator.quota is not None
    assert own.simulator.quota is not None
    assert slow.simulator.quota.rpm == own.simulator.quota.rpm / 2
    assert [p.duration_s for p in slow.load.phases] == [2 * p.duration_s for p in own.load.phases]


def test_kills_come_at_the_same_requests() -> None:
    own, slow = spec("session-continuity"), scaled(spec("session-continuity"), 0.5)
    assert slow.fleet.events[0].at_s == 2 * own.fleet.events[0].at_s
    assert slow.fleet.events[0].every_s == 2 * own.fleet.events[0].every_s


def test_the_arrivals_are_the_same_in_slow_motion() -> None:
    own, slow = spec("throttling"), scaled(spec("throttling"), 0.5)
    first = [plan(it.load_of("reference"), it.seed, it.name)[:200] for it in (own, slow)]
    assert [a.prompt for a in first[0]] == [a.prompt for a in first[1]]
    assert [2 * a.due_s for a in first[0]] == pytest.approx([a.due_s for a in first[1]])


def test_a_load_that_is_only_steady_lasts_as_long_as_its_checks_need() -> None:
    own = spec("cold-start")
    slow = scaled(own, 0.5, burst=0.5)
    assert slow.load.burst == own.load.burst / 2
    assert own.load.duration_s < slow.load.duration_s < 2 * own.load.duration_s
    assert slow.load.rate_rps * slow.load.duration_s + slow.load.burst >= slow.min_requests


def test_no_load_takes_more_than_its_most() -> None:
    for name in catalogue():
        slow = scaled(spec(name), 0.05)
        assert slow.load.duration_s <= LONGEST * spec(name).load.duration_s


def test_a_ramp_has_lower_steps_and_as_much_higher_a_limit() -> None:
    own, slow = spec("sustainable-rate").load.ramp, scaled(spec("sustainable-rate"), 0.5).load.ramp
    assert own is not None
    assert slow is not None
    assert slow.rates_rps == tuple(rate / 2 for rate in own.rates_rps)
    assert slow.p99_ms == 2 * own.p99_ms


def test_what_it_was_scaled_by_is_kept() -> None:
    assert scaled(scaled(spec("throttling"), 0.5), 0.5).rate_scale == 0.25
