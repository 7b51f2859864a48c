import pytest

from harness.judge.invariants import REGISTRY
from harness.records.setup import FleetEvent, Window
from tests.harness.histories import BEGIN_S, Arm
from tests.harness.judge.cases import find, judged

STEP = Window(kind="phase", name="step", from_s=10.0, to_s=30.0)
STEADY = Window(kind="phase", name="steady", from_s=0.0, to_s=10.0)


def stepped(joined_s: float | None, *, rate: int = 3, asked_s: float | None = None) -> Arm:
    """One container of one slot; from 10 s on 1.5 requests at a time, or half of what `rate` says."""
    arm = Arm(containers=1 if joined_s is None else 2)
    if joined_s is not None:
        arm.moved(2, joined_s=joined_s)
    for number in range(10):
        arm.request(due_s=float(number), end_s=number + 0.5)
    for number in range(20 * rate):
        due_s = 10.0 + number / rate
        waited_s = 1.0 if joined_s is None or due_s < joined_s else 0.0
        arm.request(due_s=due_s, begin_s=due_s + waited_s, end_s=due_s + waited_s + 0.5)
    events = (
        () if asked_s is None else (FleetEvent(time_s=BEGIN_S + asked_s, action="add", container="agent-2"),)
    )
    arm.set(windows=(STEADY, STEP), events=events, end_s=32.0)
    return arm


def test_without_a_step_nothing_is_known() -> None:
    assert find("capacity-follows", Arm()).holds is None
    arm = stepped(None, rate=1)
    assert find("capacity-follows", arm).message.startswith("no data: no phase of the load brought more")


def test_the_share_of_the_step_is_told_until_there_were_slots_with_what_callers_waited() -> None:
    finding = judged("capacity-follows", stepped(15.0, asked_s=12.0))
    assert finding.holds is True
    assert finding.observed == pytest.approx(0.25)
    assert finding.cases == 60
    assert finding.message == (
        "step brings 1.5 requests at a time, and 1 container had 1 slots; after 5.0 s there were 2 (the "
        "first was asked for after 2.0 s), p99 1.5 s meanwhile and 0.5 s after it: 0.25 of it, limit 0.5"
    )
    assert len(finding.traces) == 10


@pytest.mark.parametrize(("joined_s", "holds"), [(19.9, True), (20.1, False), (29.0, False)])
def test_half_of_the_step_is_the_limit(joined_s: float, *, holds: bool) -> None:
    assert find("capacity-follows", stepped(joined_s)).holds is holds


@pytest.mark.parametrize("joined_s", [None, 31.0])
def test_capacity_that_never_came_is_found(joined_s: float | None) -> None:
    finding = find("capacity-follows", stepped(joined_s))
    assert (finding.holds, finding.observed) == (False, 1.0)
    assert "in 20.0 s there were never enough, p99 1.5 s meanwhile" in finding.message


@pytest.mark.parametrize(("left_s", "again_s", "holds"), [(24.0, 6.0, True), (17.0, 13.0, False)])
def test_capacity_that_is_taken_away_again_did_not_follow(
    left_s: float, again_s: float, *, holds: bool
) -> None:
    arm = stepped(12.0)
    arm.moved(2, joined_s=12.0, left_s=left_s)
    finding = judged("capacity-follows", arm)
    assert finding.holds is holds
    assert finding.observed == pytest.approx((2.0 + again_s) / 20.0)
    assert f"after 2.0 s there were 2, and for {again_s} s there were too few again" in finding.message


def test_what_comes_after_the_last_answer_is_no_time_without_slots() -> None:
    arm = stepped(12.0)
    arm.set(end_s=25.0)
    finding = find("capacity-follows", arm)
    assert finding.observed == pytest.approx(0.1)
    assert "too few again" not in finding.message


def test_one_more_is_not_enough_for_what_takes_three() -> None:
    arm = stepped(12.0, rate=5)
    assert find("capacity-follows", arm).observed == 1.0


def test_it_is_a_matter_of_time_so_that_a_slow_machine_makes_it_unknown() -> None:
    assert REGISTRY["capacity-follows"].timing
