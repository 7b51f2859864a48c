import itertools
import math
import random
from collections.abc import Iterator

import pytest

from harness.clock import FakeClock
from harness.load.kit.profiles import Burst, Constant, Due, Poisson, Profile, Step, Steps
from harness.load.kit.rates import AHEAD_S, RateChange, Rates, due_at


def until(
    profile: Profile, rates: Rates, end_s: float, changes: dict[float, float] | None = None
) -> list[Due]:
    """Walk a plan on a clock; `changes` are told when their second has come."""
    clock, told = FakeClock(), dict(changes or {})

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        for told_s in [told_s for told_s in told if told_s <= clock.monotonic()]:
            rates.change(RateChange(told_s + 2.0, told.pop(told_s)))

    plan = due_at(profile, "1/A", rates, end_s=end_s, now_s=clock.monotonic, sleep=sleep)
    return list(itertools.takewhile(lambda due: due[1] < end_s, plan))


@pytest.mark.parametrize(
    "profile",
    [Poisson(20.0), Constant(20.0), Steps((Step(5.0, 4.0), Step(20.0, 4.0))), Burst(8, 1.0, Poisson(9.0))],
)
def test_a_plan_that_nobody_changes_is_the_profiles_own(profile: Profile) -> None:
    own = itertools.takewhile(lambda due: due[1] < 12.0, profile.due(random.Random("1/A"), 2.0))
    assert until(profile, Rates(2.0), 12.0) == list(own)


def test_from_the_instant_on_that_was_told_another_rate_holds() -> None:
    seen = [due_s for _, due_s in until(Constant(10.0), Rates(1.0), 20.0, {3.0: 4.0})]
    assert len([due_s for due_s in seen if due_s < 5.0]) == 50
    assert len([due_s for due_s in seen if 5.0 <= due_s < 20.0]) == 600


def test_all_drivers_walk_the_same_plan_whenever_each_hears_of_it() -> None:
    early, late = Rates(1.0), Rates(1.0)
    early.change(RateChange(5.0, 0.5))
    assert until(Poisson(30.0), early, 20.0) == until(Poisson(30.0), late, 20.0, {3.0: 0.5})


def test_a_change_begins_no_burst_again_and_keeps_the_level_of_a_staircase() -> None:
    seen = until(Burst(8, 1.0, Poisson(9.0)), Rates(1.0), 20.0, {3.0: 2.0})
    assert [phase for phase, _ in seen].count("burst") == 8
    steps = until(Steps((Step(5.0, 4.0), Step(20.0, 4.0))), Rates(1.0), 20.0, {6.0: 2.0})
    assert {phase for phase, due_s in steps if due_s >= 8.0} == {"step-2"}


def test_a_driver_decides_shortly_before_it_is_due_what_is_due_next() -> None:
    clock = FakeClock()
    plan = due_at(Constant(0.1), "s", Rates(1.0), end_s=math.inf, now_s=clock.monotonic, sleep=clock.sleep)
    assert [next(plan)[1], next(plan)[1]] == [0.0, 10.0]
    assert clock.monotonic() == pytest.approx(10.0 - AHEAD_S, abs=0.11)


def test_at_the_end_nobody_waits_for_what_would_be_due_later() -> None:
    clock = FakeClock()
    plan = due_at(Constant(1e-6), "s", Rates(1.0), end_s=4.0, now_s=clock.monotonic, sleep=clock.sleep)
    assert [next(plan)[1], next(plan)[1]] == [0.0, pytest.approx(1e6)]
    assert clock.monotonic() == pytest.approx(4.0, abs=0.6)


class Own:
    """A profile of somebody's own, that knows no middle."""

    def due(self, _draw: random.Random, factor: float) -> Iterator[Due]:
        for number in itertools.count():
            yield "own", number / factor


@pytest.mark.parametrize(
    "profile",
    [Poisson(20.0), Constant(20.0), Steps((Step(5.0, 4.0), Step(20.0, 4.0))), Burst(8, 1.0, Constant(9.0))],
)
def test_a_large_factor_late_in_a_test_does_not_walk_all_that_was_due_before(profile: Profile) -> None:
    """A billion draws would be made before the next request, and nothing else would run meanwhile."""
    rates = Rates(1.0)
    rates.change(RateChange(60.0, 1e8))
    clock = FakeClock()
    plan = due_at(profile, "1/A", rates, end_s=math.inf, now_s=clock.monotonic, sleep=clock.sleep)
    after = itertools.islice((due_s for _, due_s in plan if due_s >= 60.0), 1000)
    assert max(after) == pytest.approx(60.0, abs=0.1)


def test_a_profile_of_ones_own_begins_anew_and_lets_others_run_meanwhile() -> None:
    rates, clock, slept = Rates(1.0), FakeClock(), list[float]()
    rates.change(RateChange(10.0, 100.0))

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.sleep(seconds)

    plan = due_at(Own(), "1/A", rates, end_s=math.inf, now_s=clock.monotonic, sleep=sleep)
    assert next(due_s for _, due_s in plan if due_s >= 10.0) == 10.0
    assert slept.count(0) == 10
