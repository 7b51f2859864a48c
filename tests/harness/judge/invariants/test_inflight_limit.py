from tests.harness.histories import Arm
from tests.harness.judge.cases import find


def test_as_many_as_the_limit_hold() -> None:
    arm = Arm(limit=2)
    arm.request(due_s=0.0, end_s=1.0)
    arm.request(due_s=0.5, end_s=1.5)
    arm.request(due_s=0.5, end_s=1.5, container=2)
    finding = find("inflight-limit", arm)
    assert finding.holds
    assert finding.observed == 0
    assert "at most 2 requests" in finding.message


def test_one_more_is_found_with_its_trace() -> None:
    arm = Arm(limit=1)
    arm.request(due_s=0.0, end_s=1.0)
    too_many = arm.request(due_s=0.5, end_s=1.5)
    arm.request(due_s=2.0, end_s=3.0)
    finding = find("inflight-limit", arm)
    assert finding.holds is False
    assert finding.observed == 1
    assert finding.traces == (too_many,)


def test_the_moment_with_most_comes_first() -> None:
    arm = Arm(limit=1)
    second, third = [arm.request(due_s=n * 0.1, end_s=1.0) for n in range(3)][1:]
    finding = find("inflight-limit", arm)
    assert finding.observed == 2
    assert finding.traces == (third, second)


def test_waiting_inside_the_container_is_not_work() -> None:
    arm = Arm(limit=1)
    arm.request(due_s=0.0, end_s=1.0)
    arm.request(due_s=0.2, wait_s=0.8, end_s=2.0)
    assert find("inflight-limit", arm).holds


def test_the_moment_of_a_hand_over_is_no_overlap() -> None:
    arm = Arm(limit=1)
    arm.request(due_s=0.0, end_s=1.0)
    arm.request(due_s=0.2, begin_s=0.2, wait_s=0.797, end_s=2.0)
    assert find("inflight-limit", arm).holds


def test_an_overlap_longer_than_a_hand_over_is_found() -> None:
    arm = Arm(limit=1)
    arm.request(due_s=0.0, end_s=1.0)
    arm.request(due_s=0.99, end_s=2.0)
    assert find("inflight-limit", arm).holds is False


def test_a_request_taken_while_work_after_an_answer_goes_on_is_found() -> None:
    arm = Arm(containers=1, limit=1)
    arm.request(due_s=0.0, end_s=0.2, after_s=0.5)
    arm.request(due_s=0.3, end_s=0.4)
    assert find("inflight-limit", arm).holds is False
