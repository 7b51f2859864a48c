import pytest

from tests.harness.histories import Arm, Try
from tests.harness.judge.cases import find, judged

ONLY_OUTSIDE = ("POST /invocations", "invoke_agent")


def looked_at(*, busy: bool, polls: int = 10, requests: int = 2) -> Arm:
    """A container with a limit of 2, `/ping` looked at while requests wait 10 s for the model."""
    arm = Arm(containers=1, limit=2)
    for _ in range(requests):
        calls = [[Try(at_s=0.1, lasted_s=10.0)]]
        arm.request(due_s=0.0, end_s=10.2, calls=calls, without=ONLY_OUTSIDE)
    for number in range(polls):
        arm.ping(0.5 + number, busy=busy)
    return arm


def test_busy_at_a_full_container_holds() -> None:
    finding = find("ping-busy-when-full", looked_at(busy=True))
    assert finding.holds
    assert finding.observed == 0


def test_healthy_at_a_full_container_is_found() -> None:
    finding = find("ping-busy-when-full", looked_at(busy=False))
    assert finding.holds is False
    assert finding.observed == 1
    assert "Healthy in 10 of 10 looks" in finding.message


def test_a_look_just_when_it_changed_is_not_judged() -> None:
    arm = looked_at(busy=True)
    arm.ping(0.12, busy=False)
    arm.ping(10.08, busy=False)
    assert find("ping-busy-when-full", arm).observed == 0


def test_what_is_said_with_a_slot_free_is_not_judged() -> None:
    arm = looked_at(busy=True)
    arm.ping(20.0, busy=False)
    assert find("ping-busy-when-full", arm).observed == 0


@pytest.mark.parametrize(("polls", "requests"), [(4, 2), (10, 1)])
def test_too_few_looks_at_a_full_container_tell_nothing(polls: int, requests: int) -> None:
    assert judged("ping-busy-when-full", looked_at(busy=True, polls=polls, requests=requests)).holds is None


def mute(*, full: int, free: int) -> Arm:
    """A container with looks that got no answer while it was full, and later."""
    arm = looked_at(busy=True, polls=2)
    for number in range(20):
        arm.ping(20.0 + number, busy=False)
    for number in range(full):
        arm.mute_ping(1.0 + number)
    for number in range(free):
        arm.mute_ping(50.0 + number)
    return arm


def test_who_gives_no_answer_while_it_is_full_is_found() -> None:
    finding = judged("ping-busy-when-full", mute(full=6, free=1))
    assert finding.holds is False
    assert finding.observed == 6 / 8
    assert "no answer in 6 of 8 looks at a full container, and in 1 of 21 at one with a free slot" in (
        finding.message
    )


@pytest.mark.parametrize(
    ("full", "free"), [(4, 0), (6, 6)], ids=["a few", "a machine that stands still at any time"]
)
def test_looks_without_an_answer_that_other_things_explain_show_nothing(full: int, free: int) -> None:
    assert judged("ping-busy-when-full", mute(full=full, free=free)).holds is None
