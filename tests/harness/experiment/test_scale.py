"""The same experiment at fewer requests a second."""

import random
from collections.abc import Iterator

import pytest

from harness.errors import InputError
from harness.experiment.load import catalogue, load
from harness.experiment.scale import LEAST_BURST, backoff_slowed, planned_for, scaled
from harness.load.arrivals import plan
from harness.records.spec import EventSpec, ExperimentSpec, FleetSpec
from harness.run.pipeline import known
from harness.simulator_config import Quota


def spec(name: str) -> ExperimentSpec:
    return load(name, known()).quickened()


@pytest.mark.parametrize("name", catalogue())
def test_at_its_own_rates_nothing_changes(name: str) -> None:
    assert scaled(spec(name), 1.0) == spec(name)


@pytest.mark.parametrize("name", catalogue())
@pytest.mark.parametrize("scale", [0.7, 0.4, 0.1])
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


def test_it_is_known_by_how_much_the_waits_are_longer() -> None:
    throttling, busy = spec("throttling"), spec("busy-routing")
    assert backoff_slowed(throttling, "no-jitter") == 1.0
    assert backoff_slowed(scaled(throttling, 0.4), "no-jitter") == 2.5
    assert backoff_slowed(scaled(throttling, 2.0), "no-jitter") == 1.0
    assert backoff_slowed(scaled(busy, 0.4), "blind") == 1.0, "it says no waits, so they stay as they are"
    arm = throttling.arms["no-jitter"]
    own = throttling.model_copy(
        update={"arms": {**throttling.arms, "no-jitter": arm.model_copy(update={"agent": "yours"})}}
    )
    assert backoff_slowed(scaled(own, 0.4), "no-jitter") == 1.0, "it need not heed what an experiment says"


def test_the_agent_backs_off_in_slow_motion_too() -> None:
    own, slow = spec("throttling"), scaled(spec("throttling"), 0.5)
    assert (own.fleet.env["AGENT_RETRY_BASE_S"], slow.fleet.env["AGENT_RETRY_BASE_S"]) == ("2", "4")
    odd = own.model_copy(update={"fleet": own.fleet.model_copy(update={"env": {"AGENT_RETRY_BASE_S": "?"}})})
    assert scaled(odd, 0.5).fleet.env["AGENT_RETRY_BASE_S"] == "?", "the agent says what is wrong with it"


@pytest.mark.parametrize("needed", [20, 200, 2000])
def test_enough_is_planned_for_nearly_every_draw(needed: int) -> None:
    mean = planned_for(needed)
    draws = [sum(1 for _ in poisson(random.Random(seed), mean)) for seed in range(2000)]
    assert min(draws) >= needed


def poisson(source: random.Random, mean: float) -> Iterator[float]:
    """Yield the instants of a Poisson process of rate one, up to `mean`."""
    now = source.expovariate(1.0)
    while now < mean:
        yield now
        now += source.expovariate(1.0)


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
    assert own.load.duration_s < slow.load.duration_s <= 2 * own.load.duration_s
    assert slow.load.rate_rps * slow.load.duration_s + slow.load.burst >= slow.min_requests


def test_what_an_experiment_may_not_have_is_told_with_the_key() -> None:
    with pytest.raises(InputError, match=r"throttling: at 0\.001 of its rates, .*less than or equal to 3600"):
        scaled(spec("throttling"), 0.001)


def test_a_burst_keeps_enough_for_a_race_in_each_container() -> None:
    many = spec("cold-start").model_copy(update={"fleet": FleetSpec(agents=5, concurrency_limit=32)})
    assert scaled(many, 0.5, burst=0.1).load.burst == 5 * LEAST_BURST
    assert scaled(spec("cold-start"), 0.5, burst=0.1).load.burst == 2 * LEAST_BURST


def test_a_kill_of_one_arm_comes_while_its_load_lasts() -> None:
    own = spec("cold-start")
    kill = EventSpec(action="kill", at_s=8.0)
    arms = {name: arm.model_copy(update={"events": (kill,)}) for name, arm in own.arms.items()}
    slow = scaled(own.model_copy(update={"arms": arms}), 0.4)
    assert slow.fleet_of("cached").events[0].at_s == 20.0
    assert slow.load.length_s == pytest.approx(2.5 * own.load.length_s)


def test_kills_find_as_many_at_work_and_callers_wait_as_much_longer() -> None:
    own, slow = spec("session-continuity"), scaled(spec("session-continuity"), 0.5)
    assert slow.simulator.latency.ttft.median_s == 2 * own.simulator.latency.ttft.median_s
    assert slow.load.turn_gap_s == 2 * own.load.turn_gap_s
    assert slow.load.timeout_s == 2 * own.load.timeout_s


def test_a_bucket_of_tokens_is_met_by_as_many_calls() -> None:
    own = spec("throttling")
    quota = Quota(rpm=600, tpm=6000)
    slow = scaled(
        own.model_copy(update={"simulator": own.simulator.model_copy(update={"quota": quota})}), 0.5
    )
    assert slow.simulator.quota == Quota(rpm=300, tpm=3000, burst_tokens=6000)


def test_a_ramp_has_lower_steps_and_as_much_higher_a_limit() -> None:
    own, slow = spec("sustainable-rate").load.ramp, scaled(spec("sustainable-rate"), 0.5).load.ramp
    assert own is not None
    assert slow is not None
    assert slow.rates_rps == tuple(rate / 2 for rate in own.rates_rps)
    assert slow.p99_ms == 2 * own.p99_ms


def test_what_it_was_scaled_by_is_kept() -> None:
    assert scaled(scaled(spec("throttling"), 0.5), 0.5).rate_scale == 0.25


def test_an_autoscaler_looks_as_much_more_seldom_and_finds_as_many_at_work() -> None:
    own, slow = spec("autoscale"), scaled(spec("autoscale"), 0.5)
    for arm in own.arms:
        mine, theirs = own.fleet_of(arm).autoscale, slow.fleet_of(arm).autoscale
        assert mine is not None
        assert theirs is not None
        assert (theirs.sync_s, theirs.down_s) == (2 * mine.sync_s, 2 * mine.down_s)
        assert (theirs.target, theirs.least, theirs.most) == (mine.target, mine.least, mine.most)
    assert slow.simulator.latency.ttft.mean_s == 2 * own.simulator.latency.ttft.mean_s
    assert slow.load.duration_s == 2 * own.load.duration_s
