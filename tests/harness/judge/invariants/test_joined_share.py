from dataclasses import replace

import pytest

from tests.harness.histories import Arm
from tests.harness.judge.cases import find


def arm_with(taken_by_the_new_one: int, of: int = 100) -> Arm:
    """Two containers; the second joins after 10 s, and gets every n-th request from then on."""
    arm = Arm(containers=2)
    arm.moved(2, joined_s=10.0)
    for number in range(of):
        arm.request(due_s=number * 0.1, container=1)
    every = of // taken_by_the_new_one
    for number in range(of):
        arm.request(due_s=10.0 + number * 0.1, container=2 if number % every == 0 else 1)
    return arm


def test_without_a_container_that_joined_nothing_is_known() -> None:
    arm = Arm()
    arm.request()
    assert find("joined-share", arm).holds is None
    assert find("joined-share", Arm()).holds is None


def test_half_of_the_requests_are_the_share_of_one_of_two() -> None:
    finding = find("joined-share", arm_with(50))
    assert finding.holds
    assert finding.observed == pytest.approx(1.0, abs=0.02)


def test_one_that_gets_less_than_half_its_share_is_found() -> None:
    finding = find("joined-share", arm_with(20))
    assert finding.holds is False
    assert finding.observed == pytest.approx(0.4, abs=0.02)
    assert len(finding.traces) == 10
    assert "agent-2, got 20 requests while it was in the list, and 50 would" in finding.message


def test_one_that_gets_nothing_is_found() -> None:
    arm = Arm(containers=2)
    arm.moved(2, joined_s=0.0)
    for number in range(100):
        arm.request(due_s=number * 0.1, container=1)
    finding = find("joined-share", arm)
    assert (finding.holds, finding.observed) == (False, 0.0)


def test_one_that_was_there_for_a_moment_is_not_judged() -> None:
    arm = arm_with(50)
    arm.moved(2, joined_s=10.0, left_s=13.0)
    assert find("joined-share", arm).holds is None


def test_whoever_worked_on_what_is_not_known_makes_no_share_too_small() -> None:
    arm = arm_with(50)
    arm.rows = [replace(row, upstream=None) for row in arm.rows]
    arm.spans = [replace(span, instance=None) for span in arm.spans]
    assert find("joined-share", arm).holds is None
