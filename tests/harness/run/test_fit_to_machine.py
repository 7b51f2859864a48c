"""At which rates an experiment leaves room on a machine."""

import pytest

from harness.experiment.load import OWN, catalogue, load
from harness.records.calibration import Calibration, RequestKind, describe
from harness.records.spec import ExperimentSpec
from harness.run.fit_to_machine import (
    CONTAINER_SHARE,
    MACHINE_SHARE,
    SCALES,
    burst_share,
    describe_scale,
    fitted,
    kind_of,
    kinds,
    scale_for,
    scaled_by_hand,
)
from harness.run.pipeline import known
from tests.harness.calibrations import calibration

FAST = calibration()
SLOW = calibration(agent_s=0.010, per_request_s=0.25, load_s=0.0025)


def spec(name: str) -> ExperimentSpec:
    return load(name, known()).quickened()


@pytest.mark.parametrize("name", catalogue())
def test_on_a_fast_machine_every_experiment_runs_at_its_own_rates(name: str) -> None:
    assert scale_for(spec(name), FAST) == 1.0


@pytest.mark.parametrize("name", [*catalogue(), *OWN])
@pytest.mark.parametrize("machine", [SLOW, calibration(agent_s=0.02, per_request_s=0.5), FAST])
def test_no_arm_needs_more_than_its_share(name: str, machine: Calibration) -> None:
    fits = fitted(spec(name), machine)
    for arm in fits.arms:
        cost = machine.cost(kind_of(fits, arm))
        if cost is None:
            continue
        load = fits.load_of(arm)
        rate_rps = max(load.rate_rps, *(phase.rate_rps for phase in load.phases), 0.0)
        assert rate_rps * machine.all_s(cost) <= MACHINE_SHARE * machine.free_cores * 1.001
        assert rate_rps * cost.agent_s <= CONTAINER_SHARE * fits.fleet_of(arm).agents * 1.001


def test_all_arms_get_what_the_costliest_allows() -> None:
    slow = fitted(spec("cold-start"), SLOW)
    assert slow.rate_scale < 1
    assert len({slow.load_of(arm).rate_rps for arm in slow.arms}) == 1


def test_busy_neighbours_leave_less() -> None:
    alone, beside = (
        scale_for(spec("throttling"), calibration(agent_s=0.02, others_cores=others)) for others in (0.0, 2.0)
    )
    assert beside < alone


def test_a_quota_leaves_less() -> None:
    assert scale_for(spec("throttling"), calibration(agent_s=0.01, cores=0.66)) < 1


def test_two_calibrations_that_hardly_differ_ask_the_same() -> None:
    one, other = (fitted(spec("cold-start"), calibration(per_request_s=s)) for s in (0.25, 0.251))
    assert one == other
    assert one.rate_scale in SCALES


def test_a_machine_that_is_far_too_slow_gets_the_least() -> None:
    assert scale_for(spec("throttling"), calibration(agent_s=60.0)) == SCALES[-1]


@pytest.mark.parametrize("start_s", [0.7, 2.2, 3.6, 5.0])
def test_containers_are_killed_no_faster_than_others_take_their_place(start_s: float) -> None:
    fits = fitted(spec("session-continuity"), calibration(container_start_s=start_s))
    fleet = fits.fleet_of("fresh-agent")
    (kills,) = fleet.events
    starting = 1.3 * start_s / kills.every_s  # beside a load a start takes longer than its CPU time
    assert starting <= 0.3 * fleet.agents * 1.001
    assert (fits.rate_scale < 1) is (start_s > 2.1)
    assert (
        kills.at_s + (kills.times - 1) * kills.every_s <= fits.load.duration_s
    )  # all of them while it lasts


def test_containers_that_an_autoscaler_starts_leave_room_for_the_load_and_have_half_of_a_phase() -> None:
    """Else what is measured is how long a full machine takes to start them."""
    quick, slow = (fitted(spec("autoscale"), calibration(container_start_s=s)) for s in (0.3, 3.6))
    assert (quick.rate_scale, slow.rate_scale < 1) == (1.0, True)
    fleet = slow.fleet_of("inflight")
    assert fleet.autoscale is not None
    room_s = min(phase.duration_s for phase in slow.load.phases) / 2
    assert (fleet.autoscale.most - fleet.agents) * 3.6 <= MACHINE_SHARE * 2 * room_s * 1.001


def test_a_ramp_is_as_high_as_a_container_of_this_machine_can_climb() -> None:
    assert scale_for(spec("sustainable-rate"), calibration(agent_s=0.028)) == 0.5
    assert scale_for(spec("sustainable-rate"), calibration(agent_s=0.007)) == 1.0


def test_a_burst_is_what_the_machine_has_done_with_by_the_next_request() -> None:
    assert burst_share(spec("cold-start"), FAST) == 1.0
    assert 0.4 < burst_share(spec("cold-start"), SLOW) < 0.8


def test_a_burst_that_is_to_be_too_much_stays_so() -> None:
    overfull = spec("own-busy")
    assert burst_share(overfull, SLOW) == 1.0
    assert scaled_by_hand(overfull, 0.2).load.burst == overfull.load.burst
    assert scaled_by_hand(spec("cold-start"), 0.5).load.burst == spec("cold-start").load.burst / 2


def test_the_utilisation_counts_what_a_request_takes_beside_the_model_here() -> None:
    slow = fitted(spec("busy-routing"), calibration(overhead_s=0.04))
    assert slow.service_s == pytest.approx(spec("busy-routing").service_s + 0.03)
    assert slow.load_of("blind").rate_rps < spec("busy-routing").load_of("blind").rate_rps


def test_what_costs_nothing_that_is_known_is_not_scaled() -> None:
    elsewhere = calibration().model_copy(update={"costs": ()})
    assert scale_for(spec("cold-start"), elsewhere) == 1.0


def test_an_arm_is_of_a_kind() -> None:
    found = kinds([spec("cold-start"), spec("busy-routing")])
    assert found == (RequestKind(tools=True), RequestKind(per_request=True, tools=True), RequestKind())
    assert kind_of(spec("own-clients"), "yours") == RequestKind(agent="yours")
    assert kind_of(spec("own-clients"), "per-request") == RequestKind(per_request=True)


def test_it_is_told_in_words() -> None:
    line = describe(SLOW)
    assert "the agent 10.0, with a tool call 10.0, with clients per request 250.0, with both 250.0" in line
    assert "the load 2.5" in line
    assert "2 cores, of which others use 0.0" in line
    line = describe_scale(fitted(spec("cold-start"), SLOW), spec("cold-start")) or ""
    assert line.startswith("cold-start: at 0.5 of its rates, a burst of 16 for 24, a load of ")
    assert describe_scale(fitted(spec("cold-start"), FAST), spec("cold-start")) is None


def test_a_load_whose_rate_follows_is_long_enough_for_its_checks() -> None:
    slow = fitted(spec("scale-out"), calibration(overhead_s=0.4))
    rate_rps = min(slow.load_of(arm).rate_rps for arm in slow.arms)
    assert rate_rps * slow.load.duration_s >= slow.min_requests


def test_the_highest_step_of_a_ramp_by_utilisation_counts() -> None:
    assert scale_for(spec("fleet-rate"), calibration(agent_s=0.08)) < 1
