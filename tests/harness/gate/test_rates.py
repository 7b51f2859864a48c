"""How often the gate is right, in small; `tests/proof/gate_simulated.py` has its whole characteristic."""

import numpy as np
import pytest

from harness.gate.error_rates import Figure, Rates, error_rates, rates
from harness.gate.statistics import Tolerance
from tests.proof.gate_simulated import FIGURES, NOISES, ratios

DECISIONS = 1000
CHANCE = 0.005
"""What so few decisions may be off a rate of 1 %, at most: a little over 1.5 standard errors."""


def found(ratio: float, noise: float, **kind: bool) -> Rates:
    drawn = ratios(np.random.default_rng(1), DECISIONS, ratio=ratio, noise=noise, **kind)
    return rates(drawn, [each.tolerance for each in FIGURES])


@pytest.mark.parametrize("hiccups", [False, True])
@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("noise", NOISES)
def test_what_is_the_same_or_fine_fails_at_most_once_in_a_hundred(
    noise: float, *, heavy: bool, hiccups: bool
) -> None:
    for ratio, all_worse in ((1.0, False), (1.05, False), (1.05, True)):
        seen = found(ratio, noise, heavy=heavy, hiccups=hiccups, all_worse=all_worse)
        assert seen.failed <= 0.01 + CHANCE
        assert seen.unsound == 0


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("ratio", [1.20, 1.30])
def test_what_nobody_should_ship_seldom_passes(ratio: float, noise: float) -> None:
    seen = found(ratio, noise)
    assert seen.passed <= 0.025
    assert seen.unsound == 0


@pytest.mark.parametrize("noise", [each for each in NOISES if each <= 0.05])
def test_on_a_machine_that_is_quiet_enough_it_is_found(noise: float) -> None:
    assert found(1.20, noise, hiccups=True).failed >= 0.9


@pytest.mark.parametrize("ratio", [1.10, 1.15])
def test_the_quieter_the_machine_the_surer_a_small_slow_down_is_found(ratio: float) -> None:
    failed = [found(ratio, noise).failed for noise in NOISES]
    assert failed == sorted(failed, reverse=True)
    assert failed[0] >= 0.99


@pytest.mark.parametrize("noise", NOISES[:-1])
def test_what_is_the_same_passes(noise: float) -> None:
    assert found(1.0, noise).passed >= 0.95


def test_a_wider_tolerance_lets_more_pass_and_finds_less() -> None:
    usual, wide = (
        error_rates([Figure(tolerance=Tolerance(fine=fine, bad=bad, gross=2.0), noise=0.08)], decisions=400)
        for fine, bad in ((1.05, 1.20), (1.20, 1.50))
    )
    assert usual.false_alarms <= 0.01
    assert wide.greens >= usual.greens
    assert wide.found < usual.found
    assert usual.missed is not None
    assert usual.missed <= 0.05


def test_of_a_figure_that_is_not_bounded_nothing_is_missed() -> None:
    restless = Tolerance(fine=1.25, bad=float("inf"), gross=4.0)
    assert error_rates([Figure(tolerance=restless, noise=0.1)], decisions=100).missed is None


def test_without_a_figure_there_are_no_rates() -> None:
    with pytest.raises(ValueError, match="there is no figure"):
        error_rates([])
