import pytest

from tests.harness.histories import BEGIN_S, Arm
from tests.harness.judge.cases import find, judged


def looked_at(*, at_limit: bool | None, free: bool, polls: int = 20) -> Arm:
    """A container with a limit of 2 that is full for the first 10 s and half-full for the next.

    Args:
        at_limit: what `/ping` says of being busy in the first half; None for no look.
        free: the same of the second half.
        polls: in each half.
    """
    arm = Arm(containers=1, limit=2)
    arm.request(due_s=0.0, end_s=20.0)
    arm.request(due_s=0.0, end_s=10.0)
    for number in range(polls):
        if at_limit is not None:
            arm.ping(0.2 + number * 0.4, busy=at_limit)
        arm.ping(10.2 + number * 0.4, busy=free)
    return arm


def test_busy_when_full_and_healthy_when_not_holds() -> None:
    finding = find("ping-truthful", looked_at(at_limit=True, free=False))
    assert finding.holds
    assert finding.observed == 0


def test_always_healthy_is_found() -> None:
    finding = find("ping-truthful", looked_at(at_limit=False, free=False))
    assert finding.holds is False
    assert finding.observed == 1
    assert "Healthy in 20 of 20 looks at a full container" in finding.message


def test_always_busy_is_found() -> None:
    assert find("ping-truthful", looked_at(at_limit=True, free=True)).holds is False


def test_a_look_just_when_it_changed_is_not_judged() -> None:
    arm = looked_at(at_limit=True, free=False)
    arm.ping(10.01, busy=True)
    arm.ping(9.97, busy=False)
    assert find("ping-truthful", arm).observed == 0


@pytest.mark.parametrize("polls", [0, 9])
def test_too_few_looks_tell_nothing(polls: int) -> None:
    assert judged("ping-truthful", looked_at(at_limit=True, free=False, polls=polls)).holds is None


def test_a_container_that_was_never_full_tells_nothing() -> None:
    assert find("ping-truthful", looked_at(at_limit=None, free=False)).holds is None


def test_a_container_that_nobody_asked_for_is_below_its_limit() -> None:
    arm = looked_at(at_limit=True, free=False)
    for number in range(10):
        arm.ping(float(number), busy=True, container=2)
    assert find("ping-truthful", arm).holds is False


def test_a_container_that_is_not_looked_at_for_long_makes_it_unknown() -> None:
    arm = looked_at(at_limit=True, free=False)
    arm.moved(1, left_s=20.0)
    assert judged("ping-truthful", arm).holds
    arm.samples = [each for each in arm.samples if not BEGIN_S + 5.0 <= each.time_s < BEGIN_S + 10.0]
    finding = find("ping-truthful", arm)
    assert finding.holds is None
    assert "agent-1 was not looked at for 5 s or longer" in finding.message


def test_what_was_seen_to_be_wrong_stays_so() -> None:
    arm = looked_at(at_limit=False, free=False, polls=5)
    assert find("ping-truthful", arm).holds is False


def test_who_gives_no_answer_while_it_is_full_is_found() -> None:
    arm = looked_at(at_limit=None, free=False)
    for number in range(10):
        arm.mute_ping(0.2 + number * 0.5, took_s=0.3)
    finding = judged("ping-truthful", arm)
    assert finding.holds is False
    assert finding.observed == 1
    assert "no answer in 10 of 10 looks at a full container, and in 0 of 20" in finding.message
