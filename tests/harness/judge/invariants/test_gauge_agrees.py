import random

import pytest

from tests.harness.histories import Arm
from tests.harness.judge.cases import find, judged


def counted(*counts: int, containers: int = 1) -> Arm:
    """Two requests at once for 100 s, and looks at the container's count all the while."""
    arm = Arm(containers=containers, limit=4)
    arm.request(due_s=0.0, end_s=100.0)
    arm.request(due_s=0.0, end_s=100.0)
    for number, count in enumerate(counts):
        arm.gauge(1.0 + number * 98 / len(counts), count)
    return arm


def test_the_count_of_the_spans_holds() -> None:
    finding = judged("gauge-agrees", counted(*[2] * 20))
    assert finding.holds
    assert finding.observed == 0
    assert finding.cases == 20


def test_slots_that_are_given_back_twice_are_found() -> None:
    finding = judged("gauge-agrees", counted(*range(2, -48, -1)))
    assert finding.holds is False
    assert "in 49 of 50 looks" in finding.message
    assert "its lowest was -47" in finding.message


def test_one_negative_count_among_many_that_are_right_is_found() -> None:
    finding = judged("gauge-agrees", counted(*[2] * 90, -1))
    assert finding.observed is not None
    assert finding.observed < 0.02
    assert finding.holds is False


def test_slots_that_are_never_given_back_are_found() -> None:
    arm = counted(*[2] * 20)
    for number in range(20):
        arm.gauge(102.0 + number, 2)
    arm.set(end_s=130.0)
    assert judged("gauge-agrees", arm).holds is False


def test_a_look_just_when_it_changes_may_say_either() -> None:
    arm = counted(*[2] * 20)
    arm.gauge(99.97, 0)
    arm.gauge(99.98, 1)
    assert find("gauge-agrees", arm).observed == 0
    arm.gauge(99.97, 3)
    assert find("gauge-agrees", arm).holds is False


def test_what_a_killed_container_had_in_work_left_no_spans() -> None:
    arm = counted(*[2] * 20, containers=2)
    arm.moved(2, left_s=50.0)
    for number in range(20):
        arm.gauge(1.0 + number * 2.4, 3, container=2)
    assert judged("gauge-agrees", arm).holds


def test_an_idle_container_tests_no_count() -> None:
    arm = counted(*[2] * 9)
    for number in range(50):
        arm.gauge(101.0 + number, 0)
    arm.set(end_s=200.0)
    assert (judged("gauge-agrees", arm).holds, judged("gauge-agrees", arm).cases) == (None, 9)


def fleet_of_counts(seed: int, *, twice: bool) -> Arm:
    """Containers of two slots for 40 s, each asked twice a second; a count changes within 4 ms of its span.

    Args:
        seed: of the draw.
        twice: whether one request in ten gives its slot back twice.
    """
    chance = random.Random(seed)
    containers = chance.randint(2, 8)
    arm = Arm(containers=containers, limit=2)
    for container in range(1, containers + 1):
        changes: list[tuple[float, int]] = []
        for _ in range(2):
            now_s = 0.0
            while now_s < 40:
                now_s += chance.expovariate(4.0)
                end_s = now_s + chance.lognormvariate(-1.2, 0.9)
                arm.request(due_s=now_s, end_s=end_s, container=container)
                given_back = 2 if twice and chance.random() < 0.1 else 1
                begun_s = now_s + chance.random() / 250
                changes += [(begun_s, 1), (max(begun_s, end_s - chance.random() / 250), -given_back)]
                now_s = end_s
        for half_seconds in range(1, 80):
            at_s = half_seconds / 2
            arm.gauge(at_s, sum(step for time_s, step in changes if time_s <= at_s), container)
    return arm


@pytest.mark.parametrize("seed", range(12))
def test_no_sound_fleet_is_found_and_no_drift_missed(seed: int) -> None:
    sound = judged("gauge-agrees", fleet_of_counts(seed, twice=False))
    assert (sound.holds, sound.observed) == (True, 0.0)
    broken = judged("gauge-agrees", fleet_of_counts(seed, twice=True))
    assert broken.holds is False
    assert broken.observed is not None
    assert broken.observed > 0.5


def test_a_count_that_is_never_raised_is_found_however_long_the_container_idles() -> None:
    arm = counted(*[0] * 20)
    for number in range(2000):
        arm.gauge(110.0 + number, 0)
    arm.set(end_s=2200.0)
    finding = judged("gauge-agrees", arm)
    assert finding.holds is False
    assert "in 20 of 20 looks at one at work, and in 0 of 2000 at an idle one" in finding.message


def test_one_wrong_look_of_the_few_at_an_idle_container_is_little() -> None:
    arm = counted(*[2] * 95)
    arm.set(end_s=200.0)
    for number, count in enumerate([0, 0, 1, 0]):
        arm.gauge(110.0 + 25 * number, count)
    assert judged("gauge-agrees", arm).holds
