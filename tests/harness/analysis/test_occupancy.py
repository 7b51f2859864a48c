import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.occupancy import occupancy, steps
from tests.harness.histories import Arm


def approx(series: tuple[tuple[float, int], ...]) -> list[tuple[float, int]]:
    return [(round(time, 6), count) for time, count in series]


def test_steps_count_what_covers_each_instant() -> None:
    assert steps([(0.0, 2.0), (1.0, 3.0)]) == ((0.0, 1), (1.0, 2), (2.0, 1), (3.0, 0))


def test_back_to_back_is_no_step() -> None:
    assert steps([(0.0, 1.0), (1.0, 2.0)]) == ((0.0, 1), (2.0, 0))


def test_what_takes_no_time_is_left_out() -> None:
    assert steps([(1.0, 1.0), (2.0, 1.5)]) == ()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), max_size=20), st.integers(0, 60))
def test_steps_agree_with_counting(intervals: list[tuple[int, int]], at: int) -> None:
    spans = [(begin, begin + length) for begin, length in intervals]
    count = next((count for time, count in reversed(steps(spans)) if time <= at), 0)
    assert count == sum(begin <= at < end for begin, end in spans)


def test_work_and_waiting_are_told_apart_inside_the_container() -> None:
    arm = Arm(containers=1)
    arm.request(due_s=0.0, end_s=1.0)
    arm.request(due_s=0.5, begin_s=0.5, wait_s=0.5, end_s=1.5)
    seen = occupancy(arm.history())
    assert approx(seen.in_flight["agent-1"]) == [(0.0, 1), (1.5, 0)]
    assert approx(seen.waiting) == [(0.5, 1), (1.0, 0)]
    assert seen.busy_s["agent-1"] == pytest.approx(1.5)


def test_a_request_that_nobody_took_waits_to_its_end() -> None:
    arm = Arm(containers=1)
    arm.request(due_s=0.0, end_s=2.0, container=None, status=0, error="timeout")
    assert approx(occupancy(arm.history()).waiting) == [(0.0, 1), (2.0, 0)]


def test_a_container_that_idles_while_a_request_waits_elsewhere_is_counted() -> None:
    arm = Arm(containers=2)
    arm.request(due_s=0.0, end_s=1.0, container=1)
    arm.request(due_s=0.2, begin_s=0.2, wait_s=0.8, end_s=1.5, container=1)  # agent-2 idles from 0 on
    assert occupancy(arm.history()).idle_while_waiting_s == pytest.approx(0.8 - 0.010)


def test_which_container_idled_and_when_is_told() -> None:
    arm = Arm(containers=2)
    arm.request(due_s=0.0, end_s=1.0, container=1)
    arm.request(due_s=0.2, begin_s=0.2, wait_s=0.8, end_s=1.5, container=1)
    seen = occupancy(arm.history())
    assert seen.idle == {"agent-1": (), "agent-2": (pytest.approx((0.21, 1.0)),)}


def test_a_container_that_is_not_there_does_not_idle() -> None:
    arm = Arm(containers=2)
    arm.moved(2, left_s=0.5)
    arm.request(due_s=0.0, end_s=1.0, container=1)
    arm.request(due_s=0.2, begin_s=0.2, wait_s=0.8, end_s=1.5, container=1)
    seen = occupancy(arm.history())
    assert seen.idle["agent-2"] == (pytest.approx((0.21, 0.5)),)
    assert seen.present["agent-2"] == pytest.approx((0.0, 0.5))


def test_no_more_containers_count_than_requests_wait() -> None:
    arm = Arm(containers=4)
    arm.request(due_s=0.0, end_s=1.0, container=1)
    arm.request(due_s=0.0, wait_s=1.0, end_s=1.5, container=1)
    assert occupancy(arm.history()).idle_while_waiting_s == pytest.approx(1.0 - 0.010)


def test_waiting_while_all_are_busy_is_nobody_s_fault() -> None:
    arm = Arm(containers=2)
    arm.request(due_s=0.0, end_s=1.0, container=1)
    arm.request(due_s=0.0, end_s=1.0, container=2)
    arm.request(due_s=0.1, begin_s=1.0, end_s=1.2, container=1)
    assert occupancy(arm.history()).idle_while_waiting_s == 0


def test_a_hand_over_within_the_routing_delay_is_no_idleness() -> None:
    arm = Arm(containers=1)
    arm.request(due_s=0.0, end_s=1.0)
    arm.request(due_s=0.5, begin_s=1.009, end_s=1.5)  # waits long, but is taken 9 ms after the slot was free
    assert occupancy(arm.history()).idle_while_waiting_s == 0


def test_a_free_slot_counts_although_the_container_is_at_work() -> None:
    arm = Arm(containers=2, limit=2)
    arm.request(due_s=0.0, end_s=2.0, container=1)
    arm.request(due_s=0.0, end_s=2.0, container=1)
    arm.request(due_s=0.0, end_s=2.0, container=2)
    arm.request(due_s=0.0, wait_s=1.0, end_s=2.0, container=1)
    assert occupancy(arm.history()).idle_while_waiting_s == pytest.approx(1.0 - 0.010)


def test_containers_that_never_worked_are_there_as_well() -> None:
    arm = Arm(containers=3)
    arm.request(container=1)
    seen = occupancy(arm.history())
    assert set(seen.in_flight) == {"agent-1", "agent-2", "agent-3"}
    assert seen.busy_s["agent-3"] == 0


def test_work_after_the_answer_keeps_the_container_busy() -> None:
    arm = Arm(containers=2)
    arm.request(due_s=0.0, end_s=1.0, container=1, after_s=2.0)
    arm.request(due_s=0.0, end_s=3.0, container=2)
    arm.request(due_s=1.5, begin_s=3.0, end_s=3.5, container=1)
    seen = occupancy(arm.history())
    assert approx(seen.in_flight["agent-1"]) == [(0.0, 1), (3.5, 0)]
    assert seen.busy_s["agent-1"] == pytest.approx(3.5)
    assert seen.idle_while_waiting_s == 0


@pytest.mark.parametrize(
    ("joined_s", "left_s", "idle_s"), [(None, None, 4.0), (3.0, None, 1.0), (None, 2.5, 2.5), (1.0, 2.0, 1.0)]
)
def test_a_container_is_free_only_while_it_is_in_the_balancers_list(
    joined_s: float | None, left_s: float | None, idle_s: float
) -> None:
    arm = Arm(containers=2)
    arm.moved(2, joined_s=joined_s, left_s=left_s)
    arm.request(due_s=0.0, end_s=4.0, container=1)
    arm.request(due_s=0.0, wait_s=4.0, end_s=5.0, container=1)
    assert occupancy(arm.history()).idle_while_waiting_s == pytest.approx(idle_s - 0.010)


def test_what_a_leaving_container_still_has_in_work_makes_it_free_for_nobody() -> None:
    arm = Arm(containers=2)
    arm.moved(2, left_s=1.0)
    arm.request(due_s=0.0, end_s=2.0, container=2)
    arm.request(due_s=0.0, end_s=4.0, container=1)
    arm.request(due_s=0.0, wait_s=4.0, end_s=5.0, container=1)
    assert occupancy(arm.history()).idle_while_waiting_s == 0
