"""The gate's statistics: against scipy, against their own error rates, and under change of scale."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.gate.statistics import (
    LOOKS,
    Compared,
    Look,
    LookOutcome,
    Tolerance,
    bounds,
    holm,
    rate_interval,
    signed_rank_p,
)
from harness.gate.statistics import look as look_at

USUAL = Tolerance(fine=1.05, bad=1.20)

SMALL = st.floats(-2, 2, allow_nan=False)


@pytest.mark.parametrize("n", [5, 8, 16, 24])
@pytest.mark.parametrize("at", [0.0, math.log(1.05)])
def test_the_signed_rank_p_is_scipys_where_nothing_is_tied(n: int, at: float) -> None:
    for seed in range(20):
        z = np.random.default_rng(seed).normal(0.05, 0.2, n)
        expected = stats.wilcoxon(z - at, alternative="greater", method="exact").pvalue
        assert signed_rank_p(list(z), at) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("confidence", [0.9, 0.975, 0.995])
def test_the_bounds_are_the_test_inverted(confidence: float) -> None:
    z = list(np.random.default_rng(1).normal(0.1, 0.3, 16))
    low, middle, high = bounds(z, confidence)
    assert low < middle < high
    assert signed_rank_p(z, low - 1e-9) <= 1 - confidence
    assert signed_rank_p(z, low + 1e-9) > 1 - confidence
    turned = [-each for each in z]
    assert signed_rank_p(turned, -high - 1e-9) <= 1 - confidence
    assert signed_rank_p(turned, -high + 1e-9) > 1 - confidence


def test_the_bound_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    missed = sum(bounds(rng.standard_t(3, 16) * 0.2, 0.975)[2] < 0 for _ in range(4000))
    assert missed / 4000 <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / 4000)
    assert missed / 4000 >= 0.015


def test_a_few_pairs_give_no_bound() -> None:
    low, middle, high = bounds([0.1, 0.2, 0.3], 0.975)
    assert (low, high) == (-math.inf, math.inf)
    assert middle == pytest.approx(0.2)


@pytest.mark.parametrize("wrong", [[], [math.nan], [0.1, math.inf]])
def test_no_figure_is_no_ground_for_a_verdict(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="no finite figure"):
        signed_rank_p(wrong, 0.0)
    with pytest.raises(ValueError, match="no finite figure"):
        bounds(wrong, 0.975)


def test_ties_and_zeros_never_make_the_test_bolder() -> None:
    assert signed_rank_p([0.0] * 16, 0.0) >= 0.5
    assert signed_rank_p([0.1] * 16, 0.0) == pytest.approx(2**-16)
    assert signed_rank_p([0.1] * 8 + [-0.1] * 8, 0.0) >= 0.5


@given(st.lists(SMALL, min_size=8, max_size=8), st.integers(0, 7), st.floats(0.01, 1))
def test_a_pair_that_got_worse_never_makes_head_look_better(z: list[float], which: int, more: float) -> None:
    worse = [each + more * (number == which) for number, each in enumerate(z)]
    assert signed_rank_p(worse, 0.0) <= signed_rank_p(z, 0.0) + 1e-12
    for before, after in zip(bounds(z, 0.975), bounds(worse, 0.975), strict=True):
        assert after >= before


@given(st.lists(SMALL, min_size=16, max_size=16), st.floats(-1, 1))
def test_a_ratio_times_a_constant_moves_the_bounds_by_it(z: list[float], by: float) -> None:
    moved = bounds([each + by for each in z], 0.975)
    assert moved == pytest.approx([each + by for each in bounds(z, 0.975)], abs=1e-9)


def look(z: list[float]) -> Look:
    return look_at([Compared(z=z, tolerance=USUAL)])[0]


@given(st.lists(SMALL, min_size=24, max_size=24), st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_does_not_matter(z: list[float], order: random.Random) -> None:
    shuffled = z[:]
    order.shuffle(shuffled)
    assert look(shuffled) == look(z)


def test_more_figures_ask_for_more_of_each() -> None:
    z = [math.log(1.3) + 0.02 * number for number in range(-8, 8)]
    alone = look(z)
    assert alone.call is LookOutcome.FAIL
    calm = Compared(z=[0.0] * 16, tolerance=USUAL)
    weak = [0.3] * 12 + [-0.01, -0.02, -0.03, 0.04]
    one, *_ = look_at([Compared(z=weak, tolerance=USUAL)])
    many, *others = look_at([Compared(z=weak, tolerance=USUAL), *[calm] * 20])
    assert one.p == many.p
    assert one.call is LookOutcome.FAIL
    assert many.call is not LookOutcome.FAIL
    assert {other.call for other in others} == {LookOutcome.PASS}


def decide(rng: np.random.Generator, ratio: float, spread: float = 0.12) -> LookOutcome:
    """Let the gate decide on an agent whose p99 is `ratio` times base's, over pairs with heavy tails."""
    z = math.log(ratio) + rng.standard_t(4, LOOKS[-1]) * spread / math.sqrt(2)
    calls = [look(list(z[:pairs])).call for pairs in LOOKS]
    return next((call for call in calls if call is not LookOutcome.GO_ON), calls[-1])


def rate(call: LookOutcome, ratio: float, of: int = 1000, seed: int = 3) -> float:
    rng = np.random.default_rng(seed)
    return sum(decide(rng, ratio) is call for _ in range(of)) / of


def test_nothing_changed_is_never_called_a_regression() -> None:
    assert rate(LookOutcome.FAIL, 1.0) <= 0.002
    assert rate(LookOutcome.PASS, 1.0) >= 0.95


def test_a_tolerable_slow_down_fails_at_most_as_often_as_the_level_allows() -> None:
    assert rate(LookOutcome.FAIL, USUAL.fine) <= 0.01


def test_a_third_more_is_found() -> None:
    assert rate(LookOutcome.FAIL, 1.3) >= 0.9


def test_what_nobody_should_ship_seldom_passes() -> None:
    assert rate(LookOutcome.PASS, USUAL.bad) <= 0.05


def test_the_larger_the_slow_down_the_surer_the_verdict() -> None:
    found = [rate(LookOutcome.FAIL, ratio, of=300) for ratio in (1.0, 1.1, 1.2, 1.3, 1.5)]
    assert found == sorted(found)


def test_the_first_look_can_only_pass() -> None:
    assert look([1.0] * 8).call is LookOutcome.GO_ON
    assert look([0.0] * 8).call is LookOutcome.PASS


def test_after_the_last_look_undecided_is_said_so() -> None:
    z = list(math.log(1.12) + np.random.default_rng(0).normal(0, 0.4, 24))
    assert look(z[:16]).call is LookOutcome.GO_ON
    assert look(z).call is LookOutcome.INCONCLUSIVE


def test_a_look_at_another_time_is_refused() -> None:
    with pytest.raises(ValueError, match="looks are after 8, 16, 24"):
        look([0.0] * 9)


@pytest.mark.parametrize(("fine", "bad"), [(1.2, 1.1), (0.0, 1.0), (1.1, 1.1)])
def test_a_tolerance_in_disorder_is_refused(fine: float, bad: float) -> None:
    with pytest.raises(ValueError, match="fine < bad"):
        Tolerance(fine=fine, bad=bad)


@pytest.mark.parametrize(
    ("p", "rejected"),
    [
        ([], []),
        ([0.004], [True]),
        ([0.02, 0.004, 0.9], [False, False, False]),
        ([0.003, 0.004, 0.9], [True, True, False]),
        ([0.9, 0.003, 0.006, 0.009], [False, False, False, False]),
        ([0.0025, 0.0033, 0.005, 0.01], [True, True, True, True]),
    ],
)
def test_holm_rejects_step_by_step(p: list[float], rejected: list[bool]) -> None:
    assert holm(p, 0.01) == rejected


@pytest.mark.parametrize(("found", "of"), [(0, 40), (1, 40), (20, 40), (40, 40)])
def test_the_interval_of_a_rate_is_scipys(found: int, of: int) -> None:
    expected = stats.binomtest(found, of).proportion_ci(0.95, method="exact")
    assert rate_interval(found, of) == pytest.approx((expected.low, expected.high))
