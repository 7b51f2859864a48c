import pytest

from harness import contract
from tests.harness.histories import Arm, Try
from tests.harness.judge.cases import find


def arm_of(*, busy: bool, leaves: int = 4, looks: int = 6, containers: int = 2) -> Arm:
    """Readers who leave containers, and then looks at each of these with nothing in work."""
    arm = Arm(containers=containers, limit=4)
    for number in range(leaves):
        arm.request(due_s=number * 1.0, end_s=number + 0.5, container=1 + number % containers)
        arm.change(left=True, error="its reader left, as planned", error_type="left")
    for number in range(looks):
        at_s = leaves + 1.0 + number / 2
        for container in range(1, containers + 1):
            arm.sample(contract.PING_BUSY, float(busy and container == 2), at_s, f"agent-{container}")
    arm.set(end_s=leaves + 1.0 + looks)
    return arm


def test_containers_that_say_that_they_are_free_again_hold() -> None:
    finding = find("ping-free-after-leave", arm_of(busy=False))
    assert finding.holds
    assert finding.cases == 12


def test_one_that_says_busy_for_good_is_found() -> None:
    finding = find("ping-free-after-leave", arm_of(busy=True))
    assert (finding.holds, finding.observed) == (False, 1)
    assert "1 said HealthyBusy in all looks with nothing in work (agent-2)" in finding.message


def test_one_that_is_busy_at_some_looks_may_have_had_something_to_do() -> None:
    arm = arm_of(busy=True)
    arm.sample(contract.PING_BUSY, 0.0, 12.0, "agent-2")
    assert find("ping-free-after-leave", arm).holds


@pytest.mark.parametrize("seen_from", ["its caller", "its spans", "its calls"])
def test_a_look_while_something_is_in_work_or_just_was_does_not_count(seen_from: str) -> None:
    arm = arm_of(busy=True)
    if seen_from == "its caller":
        arm.request(due_s=4.5, end_s=20.0, container=2)
    elif seen_from == "its spans":
        arm.request(due_s=4.5, end_s=4.6, container=2, after_s=15.4)
    else:
        arm.request(due_s=4.5, end_s=4.6, container=2, calls=[[Try(lasted_s=15.4)]])
    finding = find("ping-free-after-leave", arm)
    assert finding.holds is None
    assert "agent-2 was hardly seen with nothing in work" in finding.message


def test_what_was_said_before_anybody_left_is_not_their_doing() -> None:
    arm = Arm(containers=1)
    for number in range(6):
        arm.sample(contract.PING_BUSY, 1.0, number / 2, "agent-1")
    arm.request(due_s=5.0, end_s=5.5)
    arm.change(left=True, error="its reader left, as planned", error_type="left")
    assert find("ping-free-after-leave", arm).holds is None


def test_without_a_reader_who_left_there_is_nothing_to_tell() -> None:
    assert find("ping-free-after-leave", arm_of(busy=True, leaves=0)).holds is None
