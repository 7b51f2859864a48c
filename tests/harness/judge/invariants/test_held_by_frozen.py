"""A container that stands still, and what hangs in it."""

from harness.records.setup import FleetEvent
from tests.harness.histories import BEGIN_S, Arm
from tests.harness.judge.cases import judged

LIMIT = 2


def frozen_with(hung: int, *, elsewhere: int = 5) -> Arm:
    """A container that is frozen from 2 s to 10 s, and requests that hang in it."""
    arm = Arm(containers=2, limit=LIMIT)
    arm.set(
        events=(
            FleetEvent(time_s=BEGIN_S + 2.0, action="freeze", container="agent-1"),
            FleetEvent(time_s=BEGIN_S + 10.0, action="thaw", container="agent-1"),
        )
    )
    for number in range(hung):
        arm.request(due_s=3.0 + number / 10, end_s=10.2, container=1)
    for number in range(elsewhere):
        arm.request(due_s=3.0 + number, container=2)
    return arm


def test_where_nothing_was_frozen_nothing_is_known() -> None:
    assert judged("held-by-frozen", Arm()).holds is None


def test_a_container_that_holds_its_limit_is_as_it_must_be() -> None:
    finding = judged("held-by-frozen", frozen_with(LIMIT))
    assert finding.holds
    assert "2 requests" in finding.message


def test_a_freeze_in_which_hardly_anything_was_sent_is_no_trial() -> None:
    assert judged("held-by-frozen", frozen_with(1, elsewhere=4)).holds
    finding = judged("held-by-frozen", frozen_with(1, elsewhere=3))
    assert (finding.holds, finding.cases) == (None, 0)


def test_what_hangs_beyond_the_limit_is_found_with_its_traces() -> None:
    arm = frozen_with(LIMIT + 3)
    finding = judged("held-by-frozen", arm)
    assert finding.holds is False
    assert finding.observed == 3
    assert finding.traces[0] == arm.rows[0].trace_id


def test_what_came_as_it_went_on_and_what_ended_before_does_not_count() -> None:
    arm = frozen_with(LIMIT)
    arm.request(due_s=9.8, end_s=10.1, container=1)
    arm.request(due_s=1.0, end_s=1.5, container=1)
    arm.request(due_s=11.0, end_s=12.0, container=1)
    assert judged("held-by-frozen", arm).observed == 0


def test_what_waited_for_a_slot_meanwhile_was_not_held() -> None:
    """All others were full; the one that went on got what had waited."""
    arm = frozen_with(LIMIT)
    for number in range(LIMIT + 3):
        arm.request(due_s=8.0 + number / 10, begin_s=10.0, end_s=10.3, container=1)
        arm.given_to(1, 10.0, 10.3)
    assert judged("held-by-frozen", arm).observed == 0


def test_what_was_held_and_then_given_to_another_counts() -> None:
    """It was killed, and what it held was sent again."""
    arm = frozen_twice((2.0, "freeze", 1), (8.0, "kill", 1))
    for number in range(LIMIT + 3):
        arm.request(due_s=3.0 + number / 10, begin_s=8.1, end_s=8.3, container=2)
        arm.given_to(1, 3.0 + number / 10, 8.01)
        arm.given_to(2, 8.1, 8.3)
    arm.request(due_s=20.0, container=2)
    assert judged("held-by-frozen", arm).observed == 3


def frozen_twice(*events: tuple[float, str, int]) -> Arm:
    arm = Arm(containers=2, limit=LIMIT)
    arm.set(
        events=tuple(
            FleetEvent(time_s=BEGIN_S + at_s, action=action, container=f"agent-{number}")
            for at_s, action, number in events
        )
    )
    return arm


def test_of_two_that_are_frozen_at_one_instant_each_counts() -> None:
    arm = frozen_twice((2.0, "freeze", 1), (2.0, "freeze", 2), (10.0, "thaw", 1), (10.0, "thaw", 2))
    for number in range(LIMIT + 3):
        arm.request(due_s=3.0 + number / 10, end_s=10.2, container=1)
    finding = judged("held-by-frozen", arm)
    assert (finding.holds, finding.observed, finding.cases) == (False, 3, 2)


def test_a_container_goes_on_when_it_does_and_not_when_another_does() -> None:
    arm = frozen_twice((2.0, "freeze", 1), (2.5, "freeze", 2), (5.0, "thaw", 2), (10.0, "thaw", 1))
    for number in range(LIMIT + 3):
        arm.request(due_s=6.0 + number / 10, end_s=10.2, container=1)
    assert judged("held-by-frozen", arm).observed == 3


def test_what_a_frozen_container_held_until_it_was_killed_counts() -> None:
    arm = frozen_twice((2.0, "freeze", 1), (8.0, "kill", 1))
    for number in range(LIMIT + 3):
        arm.request(due_s=3.0 + number / 10, end_s=8.1, container=1, status=503, error="reset")
    arm.request(due_s=20.0, container=2)
    assert judged("held-by-frozen", arm).observed == 3
