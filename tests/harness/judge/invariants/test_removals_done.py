from functools import partial

from tests.harness.judge.cases import find
from tests.harness.judge.leaving import arm_of

arm_with = partial(arm_of, "remove")


def test_removals_that_met_work_are_counted_with_their_requests() -> None:
    arm = arm_with(("remove", 3.0, 1), ("remove", 6.0, 2))
    met = arm.request(due_s=3.58, container=1)
    arm.request(due_s=5.98, container=2)  # done before it was told to stop
    finding = find("removals-done", arm)
    assert (finding.holds, finding.observed, finding.cases, finding.traces) == (True, 1, 2, (met,))


def test_a_fleet_that_shrank_while_it_had_nothing_to_do_shows_nothing() -> None:
    arm = arm_with(("remove", 3.0, 1))
    arm.request(due_s=2.0, container=1)
    finding = find("removals-done", arm)
    assert (finding.holds, finding.observed) == (None, 0)
    assert "1 at work are needed. Give the containers more to do" in finding.message


def test_one_that_was_told_to_stop_before_it_was_ready_is_none_that_was_taken_away() -> None:
    arm = arm_with(("remove", 3.0, 1), ("remove", 3.0, 9))
    arm.request(due_s=3.58, container=1)
    assert find("removals-done", arm).cases == 1
    never = arm_with(("remove", 3.0, 9))
    never.request(due_s=3.58, container=1)
    assert find("removals-done", never).message == "no data: no container was taken away"


def test_other_events_take_nobody_away() -> None:
    arm = arm_with(("kill", 3.0, 1), ("replace", 6.0, 2), ("add", 1.0, 3))
    arm.request(due_s=3.58, container=1)
    assert find("removals-done", arm).message == "no data: no container was taken away"
