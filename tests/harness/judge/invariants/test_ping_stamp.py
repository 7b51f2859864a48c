import random
from collections.abc import Callable

import pytest

from tests.harness.histories import Arm
from tests.harness.judge.cases import find, judged

Stamp = Callable[[float, float], float]
"""Gives the stamp from when it was asked, and when the status had changed."""


def looked_at(stamp: Stamp, *, full_for_s: float = 5.0, free_for_s: float = 5.0) -> Arm:
    """A container of one slot that is full and then free, ten times over, asked twice a second."""
    arm = Arm(containers=1)
    period_s = full_for_s + free_for_s
    for number in range(10):
        arm.request(due_s=number * period_s, end_s=number * period_s + full_for_s)
    for half_seconds in range(1, int(20 * period_s)):
        at_s = half_seconds / 2 + 0.23
        begun_s = at_s // period_s * period_s
        busy = at_s - begun_s < full_for_s
        changed_s = begun_s if busy else begun_s + full_for_s
        arm.ping(at_s, busy=busy, changed_s=stamp(at_s, changed_s))
    return arm


def test_the_time_of_the_change_holds() -> None:
    finding = judged("ping-stamp", looked_at(lambda _, changed_s: changed_s))
    assert finding.holds
    assert finding.observed == 0


def test_the_time_of_the_poll_is_found() -> None:
    finding = judged("ping-stamp", looked_at(lambda at_s, _: at_s))
    assert finding.holds is False
    assert finding.observed == 1


def test_the_time_of_the_poll_while_busy_alone_is_found() -> None:
    arm = looked_at(lambda at_s, changed_s: at_s if at_s % 10 < 5 else changed_s)
    finding = judged("ping-stamp", arm)
    assert finding.holds is False
    assert finding.observed == 1
    assert judged("ping-stamp", arm, control=True).holds is False


@pytest.mark.parametrize("stamp", [0.0, 30.0])
def test_a_stamp_that_never_moves_is_found(stamp: float) -> None:
    assert judged("ping-stamp", looked_at(lambda _, __: stamp)).holds is False


def test_a_slot_that_is_taken_again_at_once_may_have_been_free_between() -> None:
    arm = Arm(containers=1)
    for number in range(20):  # the spans of two requests overlap by a hand-over
        arm.request(due_s=number * 3.0, end_s=number * 3 + 3.002)
    for half_seconds in range(1, 119):
        at_s = half_seconds / 2 + 0.23
        arm.ping(at_s, busy=True, changed_s=at_s // 3 * 3)
    finding = judged("ping-stamp", arm)
    assert finding.holds
    assert finding.observed == 0


def test_looks_in_the_second_of_a_change_tell_nothing() -> None:
    arm = looked_at(lambda at_s, _: at_s, full_for_s=0.5, free_for_s=0.5)
    assert find("ping-stamp", arm).holds is None


def test_a_few_looks_at_a_full_container_tell_nothing() -> None:
    arm = Arm(containers=1)
    arm.request(due_s=0.0, end_s=4.0)
    for second in range(1, 60):
        arm.ping(second + 0.3, busy=second < 4, changed_s=0.0 if second < 4 else 4.0)
    arm.set(end_s=60.0)
    finding = judged("ping-stamp", arm)
    assert (finding.holds, finding.cases) == (None, 2)


def fleet(seed: int, stamp: Stamp, *, containers: int) -> Arm:
    """Containers of one slot for 30 s, busy for three quarters of it, by requests of which some are long."""
    chance = random.Random(seed)
    arm = Arm(containers=containers)
    for container in range(1, containers + 1):
        now_s, changes = 0.0, [0.0]
        while now_s < 30:
            now_s += chance.expovariate(1 / 0.09)
            took_s = chance.lognormvariate(-1.6, 1.0)
            arm.request(due_s=now_s, end_s=now_s + took_s, container=container)
            changes += [now_s, now_s + took_s]
            now_s += took_s
        for half_seconds in range(1, 80):
            at_s = half_seconds / 2 + chance.random() / 100
            changed_s = max(change for change in changes if change <= at_s)
            number = changes.index(changed_s)
            arm.ping(at_s, busy=number % 2 == 1, container=container, changed_s=stamp(at_s, changed_s))
    arm.set(end_s=40.0)
    return arm


@pytest.mark.parametrize("containers", [2, 4, 8])
@pytest.mark.parametrize("seed", range(8))
def test_no_sound_fleet_is_found_and_no_stamp_of_the_poll_is_missed(seed: int, containers: int) -> None:
    sound = judged("ping-stamp", fleet(seed, lambda _, changed_s: changed_s, containers=containers))
    assert sound.observed == 0
    broken = judged("ping-stamp", fleet(seed, lambda at_s, _: at_s, containers=containers))
    assert broken.observed == 1
    if containers > 2:
        assert (sound.holds, broken.holds) == (True, False)
