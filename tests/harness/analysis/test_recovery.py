"""How long after a fault requests are as they were before it."""

from dataclasses import replace

import pytest

from harness.analysis.recovery import Recovery
from harness.analysis.recovery import recovery as recovery_of
from harness.records.setup import Window
from tests.harness.histories import Arm

OUTAGE = Window(kind="fault", name="overloaded", from_s=5.0, to_s=10.0)
STORM = Window(kind="phase", name="storm", from_s=20.0, to_s=25.0)


def arm_of(
    *, slow_until_s: float = 10.0, failing_until_s: float = 10.0, windows: tuple[Window, ...] = (OUTAGE,)
) -> Arm:
    """Ten requests a second for 30 s, each 0.1 s; from the fault on slow or failing for a while."""
    arm = Arm(containers=1, limit=100)
    for number in range(300):
        due_s = number / 10
        failing = 5.0 <= due_s < failing_until_s
        slow = 5.0 <= due_s < slow_until_s
        arm.request(
            due_s=due_s,
            end_s=due_s + (0.5 if slow else 0.1),
            status=503 if failing else 200,
            error="overloaded" if failing else None,
        )
    arm.set(windows=windows)
    return arm


def found(arm: Arm) -> Recovery | None:
    history = arm.history()
    return recovery_of(history.requests, history.facts)


def recovery(arm: Arm) -> float | None:
    seen = found(arm)
    return seen.took_s if seen else None


def test_as_before_from_the_first_second_on_is_no_time() -> None:
    assert recovery(arm_of()) == 0.0


@pytest.mark.parametrize("until_s", [12.0, 13.5])
def test_requests_that_go_on_failing_prolong_it_to_the_end_of_that_second(until_s: float) -> None:
    assert recovery(arm_of(failing_until_s=until_s)) == pytest.approx(-(-(until_s - 10.0) // 1))


def test_so_do_requests_that_are_slow() -> None:
    assert recovery(arm_of(slow_until_s=14.0)) == 4.0


def test_a_few_slow_ones_are_other_faults() -> None:
    arm = arm_of()
    arm.request(due_s=12.0, end_s=17.0)
    assert recovery(arm) == 0.0


def test_what_the_model_refuses_for_good_counts_for_nothing() -> None:
    arm = arm_of()
    for number in range(20):
        arm.request(due_s=12.0 + number / 20, calls=[["auth"]], status=502, error="auth")
    assert recovery(arm) == 0.0


def test_an_agent_that_sends_no_request_the_model_could_answer_has_not_recovered() -> None:
    arm = arm_of()
    for number in range(20):
        arm.request(due_s=12.0 + number / 20, calls=[["auth"]], status=502, error="auth")
        arm.journal[-1] = replace(arm.journal[-1], source="request")
    assert recovery(arm) == 3.0


def test_the_next_phase_of_the_load_ends_the_look() -> None:
    arm = arm_of(failing_until_s=40.0, windows=(OUTAGE, STORM))
    assert found(arm) == Recovery(took_s=10.0, observed_s=10.0)


def test_it_tells_how_long_was_looked() -> None:
    assert found(arm_of(failing_until_s=12.0, windows=(OUTAGE, STORM))) == Recovery(
        took_s=2.0, observed_s=10.0
    )


def test_when_the_last_seconds_are_too_sparse_to_judge_it_has_not_ended() -> None:
    arm = Arm(containers=1, limit=100)
    for number in range(200):
        due_s = number / 10
        if due_s < 17.0 or number % 10 == 0:
            failing = due_s >= 5.0
            arm.request(due_s=due_s, status=503 if failing else 200, error="down" if failing else None)
    arm.set(windows=(OUTAGE,), end_s=20.0)
    assert found(arm) == Recovery(took_s=10.0, observed_s=10.0)


@pytest.mark.parametrize("failing_until_s", [10.0, 14.0])
def test_where_few_requests_come_they_are_looked_at_in_longer_pieces(failing_until_s: float) -> None:
    """One that fails of the few of a second is any other fault, and none of many seconds can be."""
    arm = Arm(containers=1, limit=100)
    for number in range(120):
        due_s = number / 4
        failing = 5.0 <= due_s < failing_until_s or number in {70, 80, 90, 100}
        arm.request(due_s=due_s, status=503 if failing else 200, error="down" if failing else None)
    arm.set(windows=(OUTAGE,))
    assert found(arm) == Recovery(took_s=failing_until_s - 10.0, observed_s=17.5)


def test_a_longer_piece_is_no_longer_a_recovery() -> None:
    """Seven seconds would be above a limit of five, which two are not."""
    arm = Arm(containers=1, limit=100)
    for number in range(90):
        due_s = number / 1.5
        failing = 20.0 <= due_s < 31.9
        arm.request(due_s=due_s, status=503 if failing else 200, error="down" if failing else None)
    arm.set(windows=(Window(kind="fault", name="overloaded", from_s=20.0, to_s=30.0),), end_s=60.0)
    assert recovery(arm) == 2.0


@pytest.mark.parametrize("rate_rps", [5, 10])
def test_a_few_that_fail_in_each_piece_go_on_failing(rate_rps: int) -> None:
    """One container of five that never comes back: two of each ten requests."""
    arm = Arm(containers=1, limit=100)
    for number in range(30 * rate_rps):
        due_s = number / rate_rps
        failing = 5.0 <= due_s < 10.0 or (due_s >= 10.0 and number % 5 == 0)
        arm.request(due_s=due_s, status=503 if failing else 200, error="down" if failing else None)
    arm.set(windows=(OUTAGE,))
    seen = found(arm)
    assert seen is not None
    assert seen.took_s == seen.observed_s


def test_pieces_that_most_have_too_few_requests_tell_nothing() -> None:
    arm = Arm(containers=1, limit=100)
    for number in range(80):
        arm.request(due_s=number / 10 if number < 50 else 5.0 + (number - 50) * 0.9)
    arm.set(windows=(OUTAGE,))
    assert recovery(arm) is None


def test_a_last_part_of_a_second_is_not_judged() -> None:
    arm = arm_of(windows=(OUTAGE, Window(kind="phase", name="storm", from_s=20.6, to_s=25.0)))
    for number in range(20):
        arm.request(due_s=20.1 + number / 100, end_s=25.0, status=503, error="late")
    assert recovery(arm) == 0.0


def test_it_counts_from_the_last_of_several_faults() -> None:
    later = Window(kind="fault", name="server_error", from_s=12.0, to_s=13.0)
    assert recovery(arm_of(failing_until_s=14.0, windows=(OUTAGE, later))) == 1.0


def test_without_a_timed_fault_there_is_nothing_to_recover_from() -> None:
    assert recovery(arm_of(windows=(STORM,))) is None


def test_too_few_requests_around_it_tell_nothing() -> None:
    early = Window(kind="fault", name="overloaded", from_s=1.0, to_s=10.0)
    assert recovery(arm_of(windows=(early,))) is None


def test_when_nothing_succeeded_before_nothing_can_be_told() -> None:
    arm = Arm()
    for number in range(60):
        arm.request(due_s=number / 10, status=503, error="down")
    arm.set(windows=(Window(kind="fault", name="x", from_s=3.0, to_s=4.0),))
    assert recovery(arm) is None
