"""The quota is used for answers, and after a fault requests are soon as before."""

from harness.records.setup import Window
from tests.harness.histories import Arm
from tests.harness.judge.cases import find


def arm_of(succeeding: int, *, seconds_lost: int = 0) -> Arm:
    """Ten requests a second for 20 s under a quota, with an outage from 5 s to 8 s."""
    arm = Arm(limit=100)
    for number in range(200):
        due_s = number / 10
        lost = number >= succeeding or 8.0 <= due_s < 8.0 + seconds_lost
        calls = [["rate_limit_requests" if lost else "ok"]]
        arm.request(
            due_s=due_s, calls=calls, status=503 if lost else 200, error="throttled" if lost else None
        )
    outage = Window(kind="fault", name="overloaded", from_s=5.0, to_s=8.0)
    arm.set(quota_rps=50.0, quota_burst=10.0, windows=(outage,), end_s=20.0)
    return arm


def test_calls_that_succeed_where_the_quota_lets_them_hold() -> None:
    finding = find("goodput-share", arm_of(195))
    assert finding.holds
    assert finding.observed == 0.975


def test_calls_that_are_given_up_below_the_quota_are_found() -> None:
    finding = find("goodput-share", arm_of(150))
    assert finding.holds is False
    assert "75.0% of the calls" in finding.message


def test_without_a_quota_nothing_is_said_of_goodput() -> None:
    arm = Arm()
    arm.request()
    assert find("goodput-share", arm).holds is None


def test_a_soon_recovery_holds() -> None:
    finding = find("recovery", arm_of(200, seconds_lost=3))
    assert finding.holds
    assert finding.observed == 3.0


def test_a_late_recovery_is_found() -> None:
    finding = find("recovery", arm_of(200, seconds_lost=8))
    assert finding.holds is False
    assert "8 s after it had cleared" in finding.message


def test_in_slow_motion_it_may_take_as_much_longer() -> None:
    arm = arm_of(200, seconds_lost=8)
    arm.set(backoff_slowed=2.0)
    finding = find("recovery", arm)
    assert finding.holds
    assert finding.limit == 10.0
    assert "limit 5 s at full speed, 10 s in slow motion" in finding.message


def test_what_has_not_recovered_by_the_end_is_found() -> None:
    finding = find("recovery", arm_of(200, seconds_lost=12))
    assert finding.holds is False
    assert "not yet as before" in finding.message


def test_a_look_shorter_than_the_limit_tells_nothing_of_what_has_not_recovered() -> None:
    arm = arm_of(200, seconds_lost=12)
    storm = Window(kind="phase", name="storm", from_s=11.0, to_s=20.0)
    outage = Window(kind="fault", name="overloaded", from_s=5.0, to_s=8.0)
    arm.set(windows=(outage, storm))
    finding = find("recovery", arm)
    assert finding.holds is None
    assert "more time" in finding.message


def test_without_a_timed_fault_nothing_is_said_of_recovery() -> None:
    arm = Arm()
    arm.request()
    assert find("recovery", arm).holds is None


def test_a_fault_of_the_same_kind_at_another_time_is_no_case_of_recovery() -> None:
    arm = Arm(limit=100)
    for number in range(200):
        arm.request(due_s=number / 10, calls=[["overloaded", "ok"] if number < 40 else ["ok"]])
    arm.set(windows=(Window(kind="fault", name="overloaded", from_s=5.0, to_s=8.0),), end_s=20.0)
    assert find("recovery", arm).cases == 0


def test_more_than_the_quota_gives_is_another_quota_than_was_told() -> None:
    arm = arm_of(195)
    arm.set(quota_rps=0.01, quota_burst=1.0)
    assert find("goodput-share", arm).holds is None
