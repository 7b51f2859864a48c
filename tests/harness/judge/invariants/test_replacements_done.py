from functools import partial

from tests.harness.judge.cases import find
from tests.harness.judge.leaving import arm_of

arm_with = partial(arm_of, "replace")


def test_replacements_that_met_work_are_counted_with_their_requests() -> None:
    arm = arm_with(("replace", 3.0, 1), ("replace", 6.0, 2))
    first = arm.request(due_s=3.58, container=1)
    second = arm.request(due_s=6.58, container=2)
    finding = find("replacements-done", arm, limit=2)
    assert (finding.holds, finding.observed, finding.cases) == (True, 2, 2)
    assert finding.traces == (first, second)


def test_a_container_that_was_idle_or_another_one_does_not_count() -> None:
    arm = arm_with(("replace", 3.0, 1), ("replace", 6.0, 2))
    arm.request(due_s=2.0, container=1)
    arm.request(due_s=6.58, container=1)
    finding = find("replacements-done", arm, limit=1)
    assert finding.holds is None, "nothing against the agent: it was not put to the test"
    assert finding.observed == 0
    assert "1 at work are needed. Let the load last longer" in finding.message


def test_what_is_done_before_a_container_is_told_to_stop_was_in_no_danger() -> None:
    """Half a second lies between the list without it and the signal: quick answers are all out by then."""
    arm = arm_with(("replace", 3.0, 1))
    arm.request(due_s=2.98, container=1)
    finding = find("replacements-done", arm, limit=1)
    assert (finding.holds, finding.observed) == (None, 0)
    assert "0 of them at work when they were told to stop" in finding.message
    arm.moved(1, left_s=3.0)
    arm.request(due_s=3.58, container=1)
    assert find("replacements-done", arm, limit=1).holds is None, "the load ended before it was told"


def test_other_events_replace_nobody() -> None:
    arm = arm_with(("kill", 3.0, 1), ("remove", 6.0, 2), ("add", 1.0, 3))
    arm.request(due_s=3.58, container=1)
    assert find("replacements-done", arm).message == "no data: no container was replaced"


def test_who_had_to_be_ended_is_told() -> None:
    arm = arm_with(("replace", 3.0, 1), ("overdue", 33.0, 1))
    arm.request(due_s=3.58, container=1)
    assert "1 did not end in their time, and were killed" in find("replacements-done", arm, limit=1).message
