from dataclasses import replace

import pytest

from harness.records.setup import FleetEvent
from tests.harness.histories import BEGIN_S, Arm, Try
from tests.harness.judge.cases import find


def arm_with(*events: tuple[str, float]) -> Arm:
    arm = Arm()
    arm.set(
        events=tuple(
            FleetEvent(time_s=BEGIN_S + at_s, action=action, container=f"agent-{number}")
            for number, (action, at_s) in enumerate(events, start=1)
        )
    )
    return arm


def given_up(arm: Arm, at_s: float) -> str:
    """Add a request whose model call lost its caller."""
    trace = arm.request(due_s=at_s - 0.05)
    arm.journal[-1] = replace(arm.journal[-1], end_s=BEGIN_S + at_s, client_gone=True)
    return trace


def test_kills_that_met_work_are_counted_with_the_traces_they_cut() -> None:
    arm = arm_with(("kill", 3.0), ("kill", 6.0))
    cut = [given_up(arm, 3.01), given_up(arm, 3.02), given_up(arm, 6.3)]
    finding = find("kills-done", arm, limit=2)
    assert finding.holds
    assert finding.observed == 2
    assert finding.traces == tuple(cut)


def test_a_kill_of_an_idle_container_does_not_count() -> None:
    arm = arm_with(("kill", 3.0), ("kill", 6.0))
    given_up(arm, 3.01)
    arm.request(due_s=5.9)
    finding = find("kills-done", arm, limit=2)
    assert finding.holds is None  # nothing against the agent: it was not put to the test
    assert finding.observed == 1
    assert "2 at work are needed. Kill more often" in finding.message


def test_a_call_that_another_container_gave_up_is_not_by_the_kill() -> None:
    arm = arm_with(("kill", 3.0))  # of agent-1
    arm.request(due_s=1.0, container=2)
    given_up(arm, 3.01)  # over the same connection as the other's
    assert find("kills-done", arm, limit=1).observed == 0


def test_the_calls_of_a_killed_container_are_told_by_its_connection() -> None:
    arm = arm_with(("kill", 3.0))
    arm.request(due_s=1.0, container=1)
    given_up(arm, 3.01)
    arm.rows[-1] = replace(arm.rows[-1], upstream="127.0.0.1:9002")  # where it was sent again
    assert find("kills-done", arm, limit=1).observed == 1


@pytest.mark.parametrize("at_s", [2.9, 4.5])
def test_a_call_that_was_given_up_at_another_time_is_not_by_the_kill(at_s: float) -> None:
    arm = arm_with(("kill", 3.0))
    given_up(arm, at_s)
    assert find("kills-done", arm, limit=1).observed == 0


def test_containers_that_were_added_or_removed_were_not_killed() -> None:
    arm = arm_with(("add", 3.0), ("remove", 6.0))
    arm.request()
    assert find("kills-done", arm).holds is None


def test_of_two_kills_at_one_instant_each_counts() -> None:
    arm = arm_with(("kill", 3.0), ("kill", 3.0))
    for container in (1, 2):
        arm.request(due_s=1.0, container=container, calls=[[Try(connection=container)]])
        arm.request(due_s=2.95, container=container, calls=[[Try(connection=container)]])
        arm.journal[-1] = replace(arm.journal[-1], end_s=BEGIN_S + 3.01, client_gone=True)
    finding = find("kills-done", arm, limit=2)
    assert (finding.holds, finding.observed, finding.cases) == (True, 2, 2)
