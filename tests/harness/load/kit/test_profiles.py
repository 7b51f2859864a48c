import itertools
import random
import statistics
from collections import Counter

import pytest

from harness.load.kit.profiles import Burst, Constant, Poisson, Profile, Step, Steps


def due(profile: Profile, within_s: float, factor: float = 1.0) -> list[tuple[str, float]]:
    return list(itertools.takewhile(lambda d: d[1] < within_s, profile.due(random.Random(1), factor)))


def test_a_metronome_is_even() -> None:
    assert [d for _, d in due(Constant(4.0), 1.0)] == [0.0, 0.25, 0.5, 0.75]


def test_poisson_arrivals_have_the_rate_and_the_scatter_of_independent_callers() -> None:
    times_s = [d for _, d in due(Poisson(50.0), 400.0)]
    assert len(times_s) == pytest.approx(50 * 400, rel=0.03)
    per_second = Counter(int(t) for t in times_s)
    counts = [per_second[second] for second in range(400)]
    assert statistics.variance(counts) == pytest.approx(statistics.fmean(counts), rel=0.25)


@pytest.mark.parametrize("profile", [Constant(10.0), Poisson(10.0), Steps((Step(10.0, 5.0),))])
def test_the_factor_multiplies_the_rate(profile: Profile) -> None:
    assert len(due(profile, 200.0, factor=3.0)) == pytest.approx(10 * 3 * 200, rel=0.06)


def test_each_step_has_its_own_rate_and_phase_and_the_last_goes_on() -> None:
    arrivals = due(Steps((Step(10.0, 100.0), Step(40.0, 100.0))), 400.0)
    phases = Counter(phase for phase, _ in arrivals)
    assert phases["step-1"] == pytest.approx(10 * 100, rel=0.1)
    assert phases["step-2"] == pytest.approx(40 * 300, rel=0.05)
    assert max(d for phase, d in arrivals if phase == "step-1") < 100.0
    assert min(d for phase, d in arrivals if phase == "step-2") > 100.0


def test_a_burst_comes_at_once_and_the_rest_after_the_quiet() -> None:
    arrivals = due(Burst(size=3, quiet_s=2.0, then=Constant(1.0)), 4.5)
    assert arrivals == [("burst", 0.0)] * 3 + [("steady", 2.0), ("steady", 3.0), ("steady", 4.0)]


def test_the_same_draw_gives_the_same_instants() -> None:
    assert due(Poisson(5.0), 10.0) == due(Poisson(5.0), 10.0)
