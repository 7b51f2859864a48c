import pytest

from harness.judge.invariants.idle_while_waiting import HANDOVERS
from tests.harness.histories import Arm
from tests.harness.judge.cases import find, judged
from tests.harness.judge.fleets import fleet


def test_waiting_while_all_work_holds() -> None:
    arm = Arm(containers=1)
    arm.request(due_s=0.0, end_s=1.0)
    arm.request(due_s=0.1, begin_s=1.001, end_s=2.0)
    finding = find("idle-while-waiting", arm)
    assert finding.holds
    assert finding.observed == 0


def test_waiting_beside_an_idle_container_is_found_with_who_waited() -> None:
    arm = Arm(containers=2)
    arm.request(due_s=0.0, end_s=1.0)
    waited = arm.request(due_s=0.0, wait_s=1.0, end_s=2.0)
    finding = find("idle-while-waiting", arm)
    assert finding.holds is False
    assert finding.observed == pytest.approx(0.99 / 1.01)  # the other one counts with the routing delay
    assert "1.0 of 4 container-seconds" in finding.message
    assert finding.traces[0] == waited


def test_without_a_server_span_nothing_is_known() -> None:
    arm = Arm()
    arm.request(without=["POST /invocations"])
    assert find("idle-while-waiting", arm).holds is None


def waiting(*, containers: int, every: int, for_s: float, rps: float = 1.0) -> Arm:
    """A fleet in which hardly anything happens, but some requests wait for nothing."""
    arm = Arm(containers=containers)
    for number in range(200):
        at_s = number / rps
        wait_s = for_s if number % every == 0 else 0.002
        arm.request(due_s=at_s, wait_s=wait_s, end_s=at_s + wait_s + 0.3, container=1 + number % containers)
        # Another one is full meanwhile, so that there is something to choose.
        arm.request(
            due_s=at_s - 0.1, begin_s=at_s - 0.1, end_s=at_s + 0.3, container=1 + (number + 1) % containers
        )
    return arm


@pytest.mark.parametrize("containers", [3, 8])
@pytest.mark.parametrize("rps", [0.2, 1.0])
def test_however_long_the_arm_and_however_many_stand_by_needless_waits_are_found(
    containers: int, rps: float
) -> None:
    finding = judged("idle-while-waiting", waiting(containers=containers, every=2, for_s=0.3, rps=rps))
    assert finding.holds is False
    assert finding.observed is not None
    assert finding.observed > 0.5


def test_a_few_waits_of_some_milliseconds_where_nobody_waits_are_not_much() -> None:
    finding = judged("idle-while-waiting", waiting(containers=4, every=10, for_s=0.02))
    assert finding.holds
    assert finding.observed == pytest.approx(20 * 0.01 / (380 * 0.01 + 20 * 0.02), rel=0.1)


def test_a_limit_below_what_hand_overs_take_is_taken_for_that() -> None:
    arm = waiting(containers=4, every=10, for_s=0.02)
    finding = find("idle-while-waiting", arm, limit=0.001)
    assert finding.holds
    assert f"limit {HANDOVERS}" in finding.message


@pytest.mark.parametrize("seed", range(20))
def test_no_sound_fleet_is_found_and_no_needless_wait_missed(seed: int) -> None:
    sound = find("idle-while-waiting", fleet(seed, needless=False))
    assert sound.holds, sound.message
    broken = find("idle-while-waiting", fleet(seed, needless=True))
    assert broken.holds is False, broken.message


def test_a_long_queue_hides_no_container_that_idles() -> None:
    """One of two containers has a queue of dozens, and the other nothing to do."""
    arm = Arm(containers=2)
    for number in range(100):
        begin_s = max(number * 0.1, number * 0.5)
        arm.request(due_s=number * 0.1, begin_s=begin_s, end_s=begin_s + 0.5)
    finding = find("idle-while-waiting", arm)
    assert finding.holds is False
    assert finding.observed == pytest.approx(0.5, abs=0.02)  # of the time of two containers
