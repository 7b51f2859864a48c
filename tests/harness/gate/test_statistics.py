"""The gate's statistics: against scipy, against their own error rates, and under change of scale."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.gate.blocks import P50
from harness.gate.statistics import (
    LOOKS,
    MISSED,
    TESTED_FROM,
    Compared,
    Look,
    LookOutcome,
    Tolerance,
    bounds,
    holm,
    may_miss,
    rate_interval,
    see,
    signed_rank_p,
    student_p,
)
from harness.gate.statistics import look as look_at

USUAL = Tolerance(fine=1.05, bad=1.20, gross=2.0)

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


@pytest.mark.parametrize(
    ("ratios", "call"),
    [((1.86, 1.94, 1.70), LookOutcome.FAIL), ((2.4, 1.55, 2.4), LookOutcome.GO_ON)],
    ids=["about twice in each pair", "not in each"],
)
def test_twice_as_slow_is_found_by_the_first_look(ratios: tuple[float, ...], call: LookOutcome) -> None:
    z = [math.log(ratio) for ratio in ratios]
    assert look_at([Compared(z=z, tolerance=P50.tolerance)])[0].call is call


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


@pytest.mark.parametrize("quiet", [0.0, 0.001, 0.02])
@pytest.mark.parametrize("ratio", [1.10, 1.15, 1.18])
def test_what_is_proved_to_be_worse_never_passes_however_little_it_is(ratio: float, quiet: float) -> None:
    z = list(math.log(ratio) + np.random.default_rng(2).normal(0, quiet, 24))
    calls = [look(z[:pairs]).call for pairs in LOOKS]
    assert LookOutcome.PASS not in calls
    assert LookOutcome.FAIL in calls


def test_a_pass_and_a_lower_bound_above_what_is_fine_exclude_each_other() -> None:
    rng = np.random.default_rng(4)
    looked = [
        look(list(math.log(ratio) + rng.normal(0, 0.06, pairs)))
        for ratio in (1.05, 1.08, 1.1)
        for pairs in (8, 16, 24)
        for _ in range(100)
    ]
    above = [each for each in looked if each.low > USUAL.fine]
    assert len(above) > 100
    assert not [each for each in above if each.call is LookOutcome.PASS]
    undecided = [each for each in above if each.call is not LookOutcome.FAIL and each.high < USUAL.bad]
    assert {each.call for each in undecided} == {LookOutcome.GO_ON, LookOutcome.INCONCLUSIVE}


def test_what_is_far_beyond_all_limits_in_each_of_few_pairs_fails_at_the_first_look() -> None:
    assert look([math.log(2.1)] * 3).call is LookOutcome.FAIL
    assert look([math.log(2.1)] * 2 + [math.log(1.9)]).call is LookOutcome.GO_ON


@pytest.mark.parametrize(
    ("middles", "call"),
    [((0.02, -0.01, 0.0), LookOutcome.FAIL), ((0.4, -0.3, 0.1), LookOutcome.GO_ON)],
    ids=["calm", "restless"],
)
def test_three_gross_pairs_are_held_against_what_blocks_of_one_side_differ_by(
    middles: tuple[float, ...], call: LookOutcome
) -> None:
    z = [math.log(ratio) for ratio in (1.86, 1.94, 1.70)]
    compared = Compared(z=z, tolerance=P50.tolerance, middles=middles)
    assert look_at([compared])[0].call is call
    # so far beyond is no noise that any machine has
    far = Compared(z=[each + 3 for each in z], tolerance=P50.tolerance, middles=middles)
    assert look_at([far])[0].call is LookOutcome.FAIL


def test_few_pairs_never_pass() -> None:
    assert look([0.0] * 3).call is LookOutcome.GO_ON
    assert look([0.0] * 8).call is LookOutcome.PASS


def test_a_quiet_machine_shows_a_slow_head_after_eight_pairs_and_a_restless_one_does_not() -> None:
    quiet, restless = (
        math.log(1.2) + spread * np.array([-1.5, -1.0, -0.5, -0.2, 0.2, 0.5, 1.0, 1.5])
        for spread in (0.02, 0.12)
    )
    assert look(list(quiet)).call is LookOutcome.FAIL
    assert look(list(restless)).call is LookOutcome.GO_ON


def test_students_p_is_scipys_but_for_figures_that_never_move() -> None:
    z = np.random.default_rng(1).normal(0.1, 0.1, 8)
    expected = stats.ttest_1samp(z, 0.05, alternative="greater").pvalue
    assert student_p(z, np.array(0.05)) == pytest.approx(expected)
    assert 0 < student_p(np.full(8, 0.051), np.array(0.05)) < 1


def test_a_figure_without_a_bad_ratio_passes_unless_it_is_proved_to_be_worse() -> None:
    restless = Tolerance(fine=1.5, bad=math.inf, gross=5.0)
    z = list(np.random.default_rng(3).normal(0.2, 1.0, 8))
    assert look(z).call is LookOutcome.GO_ON
    assert look_at([Compared(z=z, tolerance=restless)])[0].call is LookOutcome.PASS
    assert look_at([Compared(z=[1.0] * 8, tolerance=restless)])[0].call is LookOutcome.FAIL


@pytest.mark.parametrize("looks", [(3, 8, 16, 24), (8, 16), (1,), (8,), (3, 8)])
def test_the_looks_share_what_may_be_missed(looks: tuple[int, ...]) -> None:
    shares = [may_miss(looks, pairs) for pairs in looks if pairs >= TESTED_FROM]
    assert sum(shares) == pytest.approx(MISSED if shares else 0.0)


def test_many_decisions_at_once_are_what_each_is_alone() -> None:
    rng = np.random.default_rng(5)
    tolerances = [USUAL, Tolerance(fine=1.1, bad=1.5, gross=3.0)]
    for pairs in LOOKS:
        z = np.round(rng.normal(0.08, 0.1, (30, 2, pairs)), 2)  # rounded: some are tied
        seen = see(z, tolerances)
        for number, each in enumerate(z):
            alone = look_at(
                [Compared(z=list(row), tolerance=limit) for row, limit in zip(each, tolerances, strict=True)]
            )
            assert [one.call is LookOutcome.FAIL for one in alone] == list(seen.failed[number])
            assert [one.call is LookOutcome.PASS for one in alone] == list(
                seen.passed[number] & ~seen.failed[number]
            )
            assert [one.p for one in alone] == pytest.approx(list(seen.p[number]))


def test_after_the_last_look_undecided_is_said_so() -> None:
    z = list(math.log(1.12) + np.random.default_rng(0).normal(0, 0.4, 24))
    assert look(z[:16]).call is LookOutcome.GO_ON
    assert look(z).call is LookOutcome.INCONCLUSIVE


def test_a_look_at_another_time_is_refused() -> None:
    with pytest.raises(ValueError, match="looks are after 3, 8, 16, 24"):
        look([0.0] * 9)


@pytest.mark.parametrize(
    ("fine", "bad", "gross"), [(1.2, 1.1, 2.0), (0.0, 1.0, 2.0), (1.1, 1.1, 2.0), (1.1, 1.2, 1.0)]
)
def test_a_tolerance_in_disorder_is_refused(fine: float, bad: float, gross: float) -> None:
    with pytest.raises(ValueError, match="fine < bad"):
        Tolerance(fine=fine, bad=bad, gross=gross)


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
